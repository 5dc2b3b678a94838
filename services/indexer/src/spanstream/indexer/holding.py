"""While the index is switched to another generation nothing is written: `store.switching`."""

from __future__ import annotations

import time
from collections.abc import Callable

from spanstream.eventlog.errors import Retry
from spanstream.store.errors import StoreUnavailable
from spanstream.store.store import Store
from spanstream.store.switching import WRITERS_PATIENCE_SECONDS, WRITERS_SEEN_SECONDS, Held

RETRY_SECONDS = 0.2


class Holding:
    """Called by the loop's thread before it handles what it has read, and not after."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held = Held(WRITERS_PATIENCE_SECONDS, clock)
        self._looked_at: float | None = None

    def __call__(self, store: Store) -> None:
        """Raise Retry while it is held, or where nobody says whether it is."""
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < WRITERS_SEEN_SECONDS:
            return
        try:
            found = self._held.look(store)
        except StoreUnavailable as error:
            raise Retry(RETRY_SECONDS, f"store: {error}") from error
        self._looked_at = None if found else now
        if found:
            raise Retry(RETRY_SECONDS, "the index is being switched to another release's")
