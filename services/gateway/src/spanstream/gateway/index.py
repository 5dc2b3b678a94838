"""Which generation is searched: known, and open, once an encoder has said which release it is."""

from __future__ import annotations

import threading

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.runtime.logs import get_logger
from spanstream.store.compression import Compression
from spanstream.store.errors import OtherIndex, StoreUnavailable
from spanstream.store.generation import Generation, named, opened, refuse
from spanstream.store.store import Store

log = get_logger()

RETRY_SECONDS = 0.5


class Index:
    """Opens the store's generation in a thread of the service; called, it answers with the generation."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        segmenter: str,
        compression: Compression | None,
        home: Store | None = None,
        *,
        beside: bool = False,
    ) -> None:
        """`compression`: of the index, in place of the release's. `home`: what `store` is beside, where a generation is opened
        only once an indexer has made it; `beside`: also while another one is live.
        """
        self._home, self._beside = home, beside
        self._segmenter = segmenter
        self._compression = compression
        self._store = store
        self._encoder = encoder
        self._generation: Generation | None = None
        self._waits_for = "the index is not open yet"

    def __call__(self) -> Generation:
        """The open generation; raises StoreUnavailable before there is one."""
        if self._generation is None:
            raise StoreUnavailable(self._waits_for)
        return self._generation

    def open(self, stop: threading.Event) -> None:
        """Ask the encoder and open the store, again and again until both answer or `stop` is set."""
        while not stop.is_set():
            try:
                info = self._encoder.info()
                if self._home is not None:
                    self._look(self._home, named(info, self._segmenter))
                generation = opened(self._store, info, self._segmenter, self._compression)
            except (EncoderError, StoreUnavailable, OtherIndex) as error:  # the last: the indexer decides what is live
                self._waits_for = f"the index is not open yet: {error}"
                stop.wait(RETRY_SECONDS)
            else:
                self._generation = generation
                log.info("index_open", generation=generation.name)
                return

    def _look(self, home: Store, generation: Generation) -> None:
        if not self._beside:
            refuse(home, generation)
        if home.live() is not None and generation.name not in home.generations():
            raise StoreUnavailable(f"no indexer has made {generation.name} yet")

    def unready(self) -> list[str]:
        """Why the generation is not open, or the store does not answer. Without the encoder searches go on by words alone."""
        return [self._waits_for] if self._generation is None else self._store.unready()
