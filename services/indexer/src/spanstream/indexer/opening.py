"""The handler once the store is open: the encoder names the generation, and it may start later than the indexer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.eventlog.errors import Fatal, Retry
from spanstream.eventlog.log import Record
from spanstream.indexer.handler import Indexer, Result
from spanstream.indexer.holding import Holding
from spanstream.indexer.standing import Standing
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreCorrupt, StoreError, StoreRejected, StoreUnavailable
from spanstream.store.generation import Generation, opened
from spanstream.store.store import Store
from spanstream.store.switching import left_by, unfilled

RETRY_SECONDS = 0.5
LOOK_SECONDS = 5.0  # between two looks whether the index is the indexers' to write, for whoever asks why nothing is


class Opening:
    """Opens the store's generation, as a thread's target or at the first poll, then handles."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        segmenter: str,
        compression: Compression | None,
        standing_seconds: float,
        lock: threading.Lock,
        replaces: str = "",
        home: Store | None = None,
    ) -> None:
        """`compression`: of the index, in place of the release's. `standing_seconds`: between two looks for changed queries.
        `lock` is held while records are handled. `replaces`: the generation that this one may take the place of.

        `home`: what `store` is beside; there the generation becomes the live one, unless the index is being moved away from
        it. None: another one sees to that.
        """
        self._home = home
        self._generation = ""
        self._holding = Holding()
        self._standing_seconds = standing_seconds
        self._segmenter = segmenter
        self._replaces = replaces
        self._compression = compression
        self._store = store
        self._encoder = encoder
        self._indexer: Indexer | None = None
        self.lock = lock
        self._opening = threading.Lock()
        self._waits_for = "the index is not open yet"
        self._unfilled = ""  # why it is not written

    def run(self, stop: threading.Event) -> None:
        """Open before there is anything to handle, and look whether it is to be written, so that what is in the way shows at
        once. Raises Fatal.
        """
        while not stop.is_set():
            try:
                self._opened()
            except Retry as wait:
                stop.wait(wait.after)
            else:
                if self._home is None:
                    return
                self._look()
                stop.wait(LOOK_SECONDS)

    def _look(self) -> None:
        with suppress(StoreError):  # which is said anyway
            self._unfilled = unfilled(self._store, self._generation)

    def __call__(self, records: Sequence[Record]) -> list[Result]:
        """Apply one poll; raises Retry until encoder and store have answered, Fatal if the store refuses to open."""
        indexer = self._opened()
        if self._home is not None:
            self._holding(self._store, self._generation)
        with self.lock:
            return indexer(records)

    @property
    def done(self) -> bool:
        """Whether the store is open."""
        return self._indexer is not None

    def unready(self) -> list[str]:
        """Why the store is not open, is not to be written, or does not answer."""
        if self._indexer is None:
            return [self._waits_for]
        return [*filter(None, [self._unfilled]), *self._store.unready()]

    def _opened(self) -> Indexer:
        with self._opening:
            if self._indexer is None:
                self._indexer = self._open()
            return self._indexer

    def _open(self) -> Indexer:
        try:
            info = self._encoder.info()
            named = Generation(info.release, info.dimension, self._segmenter).name
            if self._home is not None and not left_by(self._home, named):
                opened(self._home, info, self._segmenter, self._compression, self._replaces)
            self._generation = named
            generation = opened(self._store, info, self._segmenter, self._compression, self._replaces)
        except (EncoderError, StoreUnavailable) as error:
            self._waits_for = f"the index is not open yet: {error}"
            raise Retry(RETRY_SECONDS, f"to open the index: {error}") from error
        except (
            StoreRejected,
            StoreCorrupt,
        ) as error:  # no record's fault: as one, the first ones would become dead letters
            raise Fatal(f"the index cannot be opened: {error}") from error
        standing = Standing(self._store, generation.name, refresh_seconds=self._standing_seconds)
        return Indexer(self._store, generation, lambda: time.time_ns() // 1000, standing)
