"""Whether an indexer may write: not while the index is switched to another generation, and none that others fill: `store.switching`."""

from __future__ import annotations

import time
from collections.abc import Callable

from spanstream.eventlog.errors import Retry
from spanstream.store.errors import StoreUnavailable
from spanstream.store.store import Store
from spanstream.store.switching import WRITERS_PATIENCE_SECONDS, WRITERS_SEEN_SECONDS, Held, unfilled

RETRY_SECONDS = 0.2


class Holding:
    """Called by the loop's thread before it handles what it has read, and not after."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held = Held(WRITERS_PATIENCE_SECONDS, clock)
        self._looked_at: float | None = None

    def __call__(self, store: Store, generation: str) -> None:
        """Raise Retry while this generation is not to be written, or where nobody says whether it is."""
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < WRITERS_SEEN_SECONDS:
            return
        self._looked_at = None
        try:
            held, why = self._held.look(store), unfilled(store, generation)
        except StoreUnavailable as error:
            raise Retry(RETRY_SECONDS, f"store: {error}") from error
        if held:
            raise Retry(RETRY_SECONDS, "the index is being switched to another release's")
        if why:
            raise Retry(RETRY_SECONDS, why)
        self._looked_at = now
