"""Dead letters sent again in any order, over and over, under newer traffic: nothing is lost and no document goes back."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from spanstream.embedder.handler import Embedding
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Log, Outgoing, Position
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryLog, MemoryProducer
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.segmenter import PASSAGES as SEGMENTER
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED
from spanstream.indexer.handler import Indexer
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.failures.following import Following
from spanstream.ingestor.failures.resolving import Resolving
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.generation import Generation
from spanstream.store.points import State
from tests.chaos.kept import RESULTS, seeds

TENANT = "acme"
ENCODER = HashEncoder(16)
GENERATION = Generation(ENCODER.info().release, 16, SEGMENTER)
DOCUMENTS_OF_A_RUN = 6


class Cut(MemoryProducer):
    """Writes the first messages of a call, and is gone, whenever it is told to."""

    def __init__(self, log: MemoryLog, chance: random.Random) -> None:
        super().__init__(log)
        self._chance = chance
        self.broken = False

    def publish(self, messages: list[Outgoing], deadline: float = 30.0) -> list[Position]:  # type: ignore[override]
        if self.broken and self._chance.random() < 0.5:
            super().publish(messages[: self._chance.randint(0, len(messages))])
            raise LogUnavailable("cut")
        return super().publish(messages)


class Run:
    """One seeded history: events, failures, fixes and replays between single steps of the three stages."""

    def __init__(self, seed: int, folder: Path, store: EdgeStore) -> None:
        self.chance = random.Random(seed)
        self.log, self.store, self.source = MemoryLog(), store, f"run-{seed}"
        self.log.ensure_topics(ALL)
        self.broken = True
        self.written: dict[str, dict[int, bool]] = {}  # id -> version -> deleted
        self.shown: dict[str, int] = {}
        self.now_us = 0
        self.sent = 0
        blobs = Blobs(f"file:{folder}")
        blobs.make()
        handler = Handler(blobs, self.parse, Cutting(), remembered_keys=100)
        self.loops = [
            self.loop("ingestor", handler, DOCUMENTS.name),
            self.loop("embedder", Embedding(ENCODER), PASSAGES.name),
            self.loop("indexer", Indexer(store, GENERATION, lambda: 1), EMBEDDINGS.name, FAILURES.name),
        ]
        self.producer = Cut(self.log, self.chance)
        self.following = Following(self.log, 2**24)
        self.resolving = Resolving(self.log, self.producer, self.following, sleep=lambda _: None, now_us=lambda: 1)

    def loop(self, group: str, handler: object, *topics: str) -> Loop:
        log: Log = self.log
        consumer, producer = log.consumer(group, topics, max_records=self.chance.randint(1, 9)), log.producer()
        return Loop(group, consumer, producer, handler, poll_wait=0.0)  # type: ignore[arg-type]

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        if self.broken and self.chance.random() < 0.6:
            raise ParseError(REASON_PARSE_FAILED, "a fault of this parser")
        return formats.parse(kind, data, Limits())

    def write(self) -> None:
        """A version that may be older than the last, or the very same again."""
        id, version = f"{self.chance.randrange(DOCUMENTS_OF_A_RUN)}", self.chance.randint(1, 12)
        known = self.written.setdefault(id, {})
        deleted = known.setdefault(version, self.chance.random() < 0.15)
        event = DocumentEvent(
            tenant=TENANT,
            source=self.source,
            id=id,
            version=version,
            operation=OPERATION_DELETE if deleted else OPERATION_UPSERT,
            content_type="text/markdown",
            text="" if deleted else f"Version {version} of {id}.",
        )
        self.log.append(DOCUMENTS.name, self.key(id).encode(), event.SerializeToString(), headers(event))

    def replay(self) -> None:
        """Some of what is open, in any order; perhaps cut between records and resolutions."""
        letters = self.following.open(TENANT).letters
        chosen = self.chance.sample(letters, self.chance.randint(0, len(letters)))
        self.producer.broken = self.chance.random() < 0.4
        with suppress(LogUnavailable):
            self.sent += self.resolving.replay(chosen, 1000)
        self.producer.broken = False

    def step(self) -> None:
        self.chance.choice(self.loops).step()
        for id, version in self.versions().items():
            assert version >= self.shown.get(id, -1), "a document went back"
            self.shown[id] = version

    def finish(self) -> None:
        """Everything is mended, sent again until nothing fails, and settles."""
        self.broken = False
        for _ in range(3):
            self.replay_all()
            self.settle()
        assert self.following.open(TENANT).letters == []
        heads = self.store.heads([self.key(id) for id in self.written])
        for id, versions in self.written.items():
            newest = max(versions)
            head = heads[self.key(id)]
            expected = State.DELETED if versions[newest] else State.LIVE
            assert (head.version, head.state, head.failure) == (newest, expected, None)
            texts = [passage.text for passage in self.store.passages(head)]
            assert texts == ([] if versions[newest] else [f"Version {newest} of {id}."])

    def replay_all(self) -> None:
        if letters := self.following.open(TENANT).letters:
            self.sent += self.resolving.replay(letters, 1000)

    def settle(self) -> None:
        ends = -1
        while ends != (ends := sum(sum(self.log.end_offsets(topic.name).values()) for topic in ALL)):
            for loop in self.loops:
                for _ in range(60):
                    loop.step()

    def versions(self) -> dict[str, int]:
        found = self.store.heads([self.key(id) for id in self.written])
        return {key.id: head.version for key, head in found.items() if head.state is not State.ABSENT}

    def key(self, id: str) -> Key:
        return Key(TENANT, self.source, id)


@pytest.mark.timeout(3600)  # of the long form
@pytest.mark.promise("I12")
def test_no_order_of_replays_loses_a_document_or_takes_one_back(tmp_path: Path, long: bool) -> None:
    sent = 0
    store = EdgeStore(tmp_path / "store")
    store.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
    for seed in seeds(RESULTS / "redrive.json", 600) if long else range(4):
        run = Run(seed, tmp_path, store)
        try:
            for _ in range(150):
                run.chance.choices([run.write, run.replay, run.step], [3, 2, 9])[0]()
            run.finish()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        sent += run.sent
    store.close()
    assert long or sent > 20
    print(f"\n{sent} dead letters sent again, 0 documents went back")
