"""The product put together on scheduled ports: workers that restart, ingest APIs, a gateway; and what is left of it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from fsspec.implementations.memory import MemoryFileSystem

from spanstream.embedder.handler import Embedding
from spanstream.embedder.service import GROUP as EMBEDDER
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import EventLogError, Retry
from spanstream.eventlog.intervals import COMMIT_SECONDS
from spanstream.eventlog.log import Consumer
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import codec
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.failure_pb2 import FailureEvent
from spanstream.gateway.search import Searcher
from spanstream.indexer.handler import Indexer
from spanstream.indexer.service import GROUP as INDEXER
from spanstream.indexer.standing import Standing
from spanstream.ingestor.acceptance import Acceptance
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed
from spanstream.ingestor.parsing.text import parse
from spanstream.ingestor.service import GROUP as INGESTOR
from spanstream.ingestor.versions import Versions
from spanstream.runtime.fair_consumer import Ahead, FairConsumer
from spanstream.standalone.heads import StoreHeads
from spanstream.store.compression import Compression
from spanstream.store.engine import Collection
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.index import Index
from tests.chaos import history, witness
from tests.chaos.simulation.ports import (
    Disk,
    ScheduledBlobs,
    ScheduledConsumer,
    ScheduledEncoder,
    ScheduledEngine,
    ScheduledOffsets,
    ScheduledProducer,
)
from tests.chaos.simulation.scheduler import Actor, Crash, Scheduler

PARTITIONS = 2  # so that a poll has several keys in it
DIMENSION = 16
# Sentences of the simulation's texts are passages of their own, and long documents travel in parts.
CUTTING = Cutting(passage_characters=60, vectors_per_event=5)
INLINE_BYTES = 150
FIRST_SECOND = 1_700_000_000  # of the ingest APIs' clocks
COMMITTED = (
    (INGESTOR, DOCUMENTS.name),
    (EMBEDDER, PASSAGES.name),
    (INDEXER, EMBEDDINGS.name),
    (INDEXER, FAILURES.name),
)


class Pipeline:
    """`workers` of each stage, two ingest APIs. `looked` is called after each write to the store."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        workers: int,
        records: int,
        looked: Callable[[], None],
        spoilt: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._records = records
        self._looked = looked
        self.log = MemoryLog(scheduler.now)
        self.log.ensure_topics([replace(topic, partitions=PARTITIONS) for topic in ALL])
        files = MemoryFileSystem()  # one of all runs of a process
        for folder in files.glob("/simulation*"):
            files.rm(folder, recursive=True)
        self.blobs = Blobs("memory://simulation", lambda: 0)
        self.blobs.make()
        encoder = HashEncoder(DIMENSION)
        self.encoder = ScheduledEncoder(scheduler, encoder, spoilt)
        self.generation = Generation(encoder.info().release, DIMENSION, segmenter(CUTTING.spans))
        self.disk = Disk()
        self.disk.open(self.generation.name, DIMENSION, Compression.NONE)
        self.disk.flush()
        self.reading = self._index("gateway")
        self.searcher = Searcher(self.reading, self.encoder, {})
        self.skews = [0, 0]  # seconds, of the APIs' clocks
        self.apis = [self._api(number) for number in range(len(self.skews))]
        self.servers = [f"api {number}" for number in range(len(self.skews))]  # the processes' names
        self.source = ScheduledProducer(scheduler, "source", self.log)
        self.indexers: list[Actor] = []
        self._members: list[list[ScheduledConsumer]] = []  # of each worker the one that it has
        for number in range(workers):
            self._employ(INGESTOR, number, [DOCUMENTS.name], self._parser)
            self._employ(EMBEDDER, number, [PASSAGES.name], self._embedder)
            self.indexers.append(self._employ(INDEXER, number, [EMBEDDINGS.name, FAILURES.name], self._indexer))

    def quiet(self) -> bool:
        """Whether every group has committed all that there is, and whoever it gave up has learnt of that."""
        return not any(member.astray for held in self._members for member in held) and all(
            offset == self.log.committed(group, topic)[partition]
            for group, topic in COMMITTED
            for partition, offset in self.log.end_offsets(topic).items()
        )

    def restart_api(self, number: int) -> None:
        """Its process has died, and another one has no memory of it."""
        self.apis[number] = self._api(number)
        self.servers[number] += "'"

    def cut_power(self, documents: float, passages: float) -> None:
        """Of the index's machine: the indexers die with it."""
        self.disk.cut_power({Collection.DOCUMENTS: documents, Collection.PASSAGES: passages})
        for actor in self.indexers:
            self._scheduler.doom(actor)

    def look(self, at: int) -> history.Look:
        """The whole index at once."""
        points = self.disk.points
        documents = [point.payload for point in points[Collection.DOCUMENTS].values()]
        return witness.look(at, documents, [(id, point.payload) for id, point in points[Collection.PASSAGES].items()])

    def dead_letters(self) -> list[history.DeadLetter]:
        """What the dead-letter topic holds."""
        return [witness.dead_letter(event) for event in self.failures()]

    def failures(self) -> list[FailureEvent]:
        """The dead letters, without what is told of them later on the same topic."""
        records = chain.from_iterable(self.log.topics[FAILURES.name])
        return [event for event in (codec.decode_failure(record.value) for record in records) if not event.resolution]

    def _index(self, role: str, looked: Callable[[], None] = lambda: None) -> Index:
        return Index(ScheduledEngine(self._scheduler, role, self.disk, looked))

    def _api(self, number: int) -> Acceptance:
        def now_us() -> int:
            return int((FIRST_SECOND + self.skews[number] + self._scheduler.now()) * 1e6)

        scheduler = self._scheduler
        return Acceptance(
            ScheduledProducer(scheduler, "api", self.log),
            ScheduledBlobs(scheduler, "api", self.blobs),  # type: ignore[arg-type]
            StoreHeads(self._index("api")),
            InFlight(ScheduledOffsets(scheduler, self.log), clock=scheduler.now),  # type: ignore[arg-type]
            Versions(now_us),
            inline_text_bytes=INLINE_BYTES,
            now_us=now_us,
        )

    def _employ(self, role: str, number: int, topics: list[str], start: Callable[[ScheduledConsumer], Loop]) -> Actor:
        """A worker process that is started again whenever it ends."""
        scheduler = self._scheduler
        held: list[ScheduledConsumer] = []
        self._members.append(held)

        def life() -> None:
            while True:
                member = ScheduledConsumer(
                    scheduler, role, lambda: self.log.consumer(role, topics, max_records=self._records)
                )
                held[:] = [member]
                try:
                    loop = start(member)
                    while True:
                        loop.step()
                        scheduler.rest()
                except Crash:
                    member.close()
                    scheduler.tell("starts again")
                    self._survive(scheduler.rest)
                except EventLogError as error:  # the process ends, and is started again
                    member.close()
                    scheduler.tell(f"ends: {error}")
                    self._survive(lambda: scheduler.rest(20))

        return scheduler.spawn(f"{role} {number}", life, lambda: held[0].expel())

    def _survive(self, rest: Callable[[], None]) -> None:
        """A machine that dies while it starts again starts again."""
        try:
            rest()
        except Crash:
            self._survive(self._scheduler.rest)

    def _fair(self, member: ScheduledConsumer) -> FairConsumer:
        return FairConsumer(member, self._records, Ahead(2 * self._records))

    def _loop(self, role: str, member: Consumer, handle: object, flush: Callable[[], None] | None = None) -> Loop:
        return Loop(
            role,
            member,
            ScheduledProducer(self._scheduler, role, self.log),
            handle,  # type: ignore[arg-type]
            clock=self._scheduler.now,
            poll_wait=0.0,
            flush=flush,
            commit_seconds=COMMIT_SECONDS,
        )

    def _parser(self, member: ScheduledConsumer) -> Loop:
        def parsed(kind: Kind, body: bytes) -> Parsed:
            return parse(body, Limits())

        blobs = ScheduledBlobs(self._scheduler, INGESTOR, self.blobs)
        handler = Handler(blobs, parsed, CUTTING, remembered_keys=100, clock=self._scheduler.now)  # type: ignore[arg-type]
        return self._loop(INGESTOR, self._fair(member), handler)

    def _embedder(self, member: ScheduledConsumer) -> Loop:
        def sleep(seconds: float) -> None:
            self._scheduler.rest(1)

        handler = Embedding(self.encoder, sleep=sleep, clock=self._scheduler.now)
        return self._loop(EMBEDDER, self._fair(member), handler)

    def _indexer(self, member: ScheduledConsumer) -> Loop:
        store = self._index(INDEXER, self._looked)

        def flush() -> None:
            try:
                store.flush()
            except StoreUnavailable as error:
                raise Retry(0.5, str(error)) from error

        def now_us() -> int:
            return int((FIRST_SECOND + self._scheduler.now()) * 1e6)

        standing = Standing(store, self.generation.name, clock=self._scheduler.now)
        return self._loop(INDEXER, member, Indexer(store, self.generation, now_us, standing), flush)
