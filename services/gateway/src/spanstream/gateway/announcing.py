"""Tells whoever moves the index what this gateway could answer from: `store.presence`."""

from __future__ import annotations

import threading
from collections.abc import Callable

from spanstream.gateway.following import Following
from spanstream.runtime.logs import get_logger
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.presence import Presence
from spanstream.store.store import Store

log = get_logger()

LOOK_SECONDS = 0.5


class Announcing:
    """`run` is a thread's target."""

    def __init__(self, store: Store, own: Callable[[], Generation], following: Following | None) -> None:
        """`own()`: the service's own generation, raises StoreUnavailable until it is open in `store`."""
        self._store, self._own, self._following = store, own, following
        self._presence = Presence()
        self._told = False

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
            self._told = True
        except StoreError as error:
            log.warning("gateway_not_announced", detail=str(error))

    def end(self) -> None:
        """Where the store does not answer it counts as gone after a while."""
        try:
            if self._told and (able := self._able()):
                self._presence.end(next(iter(able.values())))
        except StoreError as error:
            log.warning("gateway_not_announced", detail=str(error))

    def unready(self) -> list[str]:
        """Before that is known, the index might be moved without it."""
        return [] if self._told else ["the store does not know of this gateway yet"]

    def _able(self) -> dict[str, Store]:
        """The generations that it could answer from now, and where each is open."""
        other = self._following.other if self._following else None
        able = {other.generation.name: other.store} if other else {}
        try:
            return {self._own().name: self._store, **able}
        except StoreUnavailable:
            return able
