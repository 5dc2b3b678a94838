"""The new generation while it is filled and kept current: its store, its encoder, and the threads that write it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from spanstream.embedder.handler import Embedding
from spanstream.encoder.encoder import Encoder
from spanstream.encoder.threads import give_way
from spanstream.eventlog.intervals import COMMIT_SECONDS
from spanstream.eventlog.log import Log, Record, Rejected
from spanstream.eventlog.loop import Loop
from spanstream.gateway.live import Shown
from spanstream.indexer.handler import Indexer
from spanstream.indexer.housekeeping import flushed, maintain
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Handler
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.logs import get_logger
from spanstream.standalone.migration.backfill import TOPICS, Backfill, Heads, Noting, Paced, Progress
from spanstream.standalone.migration.room import Room
from spanstream.store.compression import Compression
from spanstream.store.generation import Generation, opened
from spanstream.store.store import Store

log = get_logger()

POLL_RECORDS = 16  # what is embedded together; a search waits for no more than one such batch
STOP_SECONDS = 10.0
MAINTENANCE_SECONDS = 1.0
OpenEncoder = Callable[[str], Encoder]


def _nobody_else() -> None:
    """In one process no other one moves its index."""


def _no_gateways(generation: str) -> Sequence[str]:
    """One process answers from whatever it shows."""
    return ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a new generation is made with: as the services make the one that they fill."""

    log: Log
    home: Store  # shows what is live
    ingestor: IngestorSettings = field(repr=False)
    segmenter: str
    compression: Compression | None
    vacuum_hours: float
    open_encoder: OpenEncoder = field(repr=False)
    room: Room = field(repr=False)
    replaces: str = ""  # the generation that another one may take the place of without a migration
    loops: int = (
        2  # that fill it at once, each with partitions of its own: the encoder reads for one while the other indexes
    )
    span_similarity: float | None = None  # as of the embedder
    ours: Callable[[], None] = _nobody_else  # raises Fatal or Retry: asked before anything is written
    unable: Callable[[str], Sequence[str]] = _no_gateways  # hosts that could not answer from a generation, were it live

    def generation(self, encoder: Encoder) -> Generation:
        """The one that this encoder makes here. Raises what the encoder does."""
        info = encoder.info()
        return Generation(info.release, info.dimension, self.segmenter)


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the log ended at a moment, which is to be reached before the next goal is set."""

    ends: Mapping[int, int]
    set_at: float  # by time.monotonic()


class Side:
    """Its threads run from `start` to `stop`; what ends them before is `problem`."""

    def __init__(
        self, around: Surroundings, encoder: Encoder, group: str, heads: Heads | None, rate: Callable[[], float]
    ) -> None:
        """Opens the store; raises what store, encoder and log do. `heads`: of the generation that the services fill; None: its own."""
        self._around = around
        settings = around.ingestor
        store = around.home.beside()
        with ExitStack() as undone:
            undone.callback(store.close)
            generation = opened(store, encoder.info(), around.segmenter, around.compression)
            self.progress = Progress(around.log, group)
            self._parser = Parser(settings.limits)
            undone.pop_all()
        self.shown = Shown(generation, store, encoder)
        self.problem = ""
        self.began_at = time.monotonic()
        self.goal: Goal | None = None
        self._group = group
        self._rate = rate
        self._stop = threading.Event()
        self._fillers: list[tuple[Backfill, Noting]] = []
        for _ in range(around.loops):
            index = Indexer(store, generation, _now_us)
            parse = Handler(Blobs(settings.blob_url), self._parser.parse, settings.cutting, remembered_keys=0)
            embed = Embedding(encoder, span_similarity=around.span_similarity)
            backfill = Backfill(parse, embed, index, heads or store.heads)
            self._fillers.append((backfill, Noting(index)))
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Fill, and look after the store."""
        self._threads = [
            threading.Thread(target=self._fill, args=filler, name=f"migration-fill-{number}", daemon=True)
            for number, filler in enumerate(self._fillers)
        ]
        self._threads.append(threading.Thread(target=self._keep_house, name="migration-keep-house", daemon=True))
        for thread in self._threads:
            thread.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, nothing is written to it."""
        with ExitStack() as stack:
            for backfill, _ in self._fillers:
                stack.enter_context(backfill.lock)
            yield

    def stop(self) -> None:
        """The step that is being done is finished and committed."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._parser.close()

    def close(self) -> None:
        """After `stop`: let go of encoder and store. A step that is late ends with the encoder, and writes no more."""
        self.shown.encoder.close()
        for thread in self._threads:
            thread.join()
        self.shown.store.close()

    def _fill(self, backfill: Backfill, noting: Noting) -> None:
        def handle(records: Sequence[Record]) -> list[Rejected]:
            self._around.ours()
            return backfill(records)

        give_way()  # to what is live
        consumer = self._around.log.consumer(self._group, TOPICS, max_records=POLL_RECORDS)
        loop = Loop(
            self._group,
            Paced(consumer, lambda: self._rate() / len(self._fillers)),
            noting,
            handle,
            observer=self.progress,
            flush=flushed(self.shown.store),
            commit_seconds=COMMIT_SECONDS,
        )
        try:
            loop.run(self._stop)
        except BaseException as error:
            log.error("migration_stopped", error=type(error).__name__, exc_info=error)
            self.problem = f"it was stopped: {error}"

    def _keep_house(self) -> None:
        try:
            while not self._stop.wait(MAINTENANCE_SECONDS):
                maintain(self.shown.store, self._stop, self._around.vacuum_hours)
        except BaseException as error:
            log.error("migration_maintenance_stopped", error=type(error).__name__, exc_info=error)
            self.problem = f"its housekeeping was stopped: {error}"


def _now_us() -> int:
    return time.time_ns() // 1000
