"""Tells whoever moves the index what this gateway could answer from: `store.presence`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spanstream.gateway.following import Following
from spanstream.runtime.logs import get_logger
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.presence import Presence
from spanstream.store.store import Store
from spanstream.store.switching import WRITERS_PATIENCE_SECONDS, Held

log = get_logger()

LOOK_SECONDS = 0.5


class Announcing:
    """`run` is a thread's target."""

    def __init__(
        self,
        store: Store,
        own: Callable[[], Generation],
        following: Following | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`own()`: the service's own generation, raises StoreUnavailable until it is open in `store`."""
        self._store, self._own, self._following = store, own, following
        self._presence, self._held = Presence(clock), Held(WRITERS_PATIENCE_SECONDS, clock)
        self._waits_for = "the store does not know of this gateway yet"

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then it is said that nothing more is answered."""
        while not stop.is_set():
            self.look()
            stop.wait(LOOK_SECONDS)
        self.end()

    def look(self) -> None:
        """Once. Before anything is open it could answer from nothing, and needs not be waited for."""
        able = self._able()
        if not able:
            return
        try:
            self._presence.tell(next(iter(able.values())), list(able))
            if self._waits_for:
                self._waits_for = self._late()
        except StoreError as error:
            log.warning("gateway_not_announced", detail=str(error))

    def end(self) -> None:
        """Where the store does not answer it counts as gone after a while."""
        try:
            if able := self._able():
                self._presence.end(next(iter(able.values())))
        except StoreError as error:
            log.warning("gateway_not_announced", detail=str(error))

    def unready(self) -> list[str]:
        """Before that is known, the index might be moved without it."""
        return [self._waits_for] if self._waits_for else []

    def _late(self) -> str:
        """Why what was told now may have come too late. Whoever switches holds first and asks then: so where nothing is held,
        and what is live is what this gateway goes by for good, it was asked for.
        """
        if self._following is not None:  # which looks all the time
            return ""
        if self._held.look(self._store):
            return "the index is being switched to another release's"
        own, live = self._own().name, self._store.live()
        return "" if live in (None, own) else f"{live} is live, which ENCODER_URL does not make"

    def _able(self) -> dict[str, Store]:
        """The generations that it could answer from now, and where each is open."""
        other = self._following.other if self._following else None
        able = {other.generation.name: other.store} if other else {}
        try:
            return {self._own().name: self._store, **able}
        except StoreUnavailable:
            return able
