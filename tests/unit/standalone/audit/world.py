"""The whole pipeline on a log and a store in memory, stepped by hand, and ways to break its index behind its back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from spanstream.embedder.handler import Embedding
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Consumer, Log, Outgoing
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import headers
from spanstream.events.ids import Key, head_id
from spanstream.events.segmenter import PASSAGES as SEGMENTER
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent
from spanstream.indexer.handler import Indexer
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits as ParseLimits
from spanstream.ingestor.parsing.parsed import Parsed
from spanstream.standalone.audit.comparing import Limits, Report, compare
from spanstream.standalone.audit.repairing import mendable, send
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.audit.verdicts import Difference
from spanstream.store.compression import Compression
from spanstream.store.conditions import Ids
from spanstream.store.engine import Collection, Delete
from spanstream.store.generation import Generation
from spanstream.store.index import Index
from spanstream.store.memory import MemoryEngine

ENCODER = HashEncoder(16)
GENERATION = Generation(ENCODER.info().release, 16, SEGMENTER)
FLOW_SECONDS = 600.0  # of a busy machine
SOON = Limits(settle_seconds=0.0)  # nothing goes on while it compares
LONG = " ".join(f"Sentence {number} says that the tide comes and goes with the moon." for number in range(40))


def key(id: str) -> Key:
    return Key("acme", "wiki", id)


class World:
    """A log, a store, and the three stages between them."""

    def __init__(
        self, folder: Path, log: Log | None = None, store: Index | None = None, poll_wait: float = 0.0
    ) -> None:
        self.poll_wait = poll_wait
        self.log = log or MemoryLog()
        self.log.ensure_topics(ALL)
        self.engine = MemoryEngine()
        self.store = store or Index(self.engine)
        self.store.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
        self.folder = folder
        self.producer = self.log.producer()
        self.found: list[Difference] = []
        self.open_stages()

    def open_stages(self) -> None:
        """All three, as after a start."""
        handler = Handler(Blobs(f"file:{self.folder}"), _parse, Cutting(), remembered_keys=100)
        self.consumers: list[Consumer] = []
        self.loops = [
            self._loop("ingestor", handler, DOCUMENTS.name),
            self._loop("embedder", Embedding(ENCODER), PASSAGES.name),
            self._loop("indexer", Indexer(self.store, GENERATION, lambda: 1), EMBEDDINGS.name, FAILURES.name),
        ]

    def _loop(self, group: str, handler: object, *topics: str) -> Loop:
        consumer = self.log.consumer(group, topics, max_records=50)
        self.consumers.append(consumer)
        return Loop(group, consumer, self.producer, handler, poll_wait=self.poll_wait)  # type: ignore[arg-type]

    def close_stages(self) -> None:
        """They leave their groups."""
        for consumer in self.consumers:
            consumer.close()

    def put(self, id: str, version: int = 1, text: str = "") -> None:
        self._write(id, version, text or f"Version {version} of {id}. {LONG}", OPERATION_UPSERT)

    def delete(self, id: str, version: int) -> None:
        self._write(id, version, "", OPERATION_DELETE)

    def _write(self, id: str, version: int, text: str, operation: int) -> None:
        tenant, source, _ = key(id)
        event = DocumentEvent(
            tenant=tenant, source=source, id=id, version=version, operation=operation, text=text, content_type=_TYPE
        )
        self.producer.publish([Outgoing(DOCUMENTS.name, key(id).encode(), event.SerializeToString(), headers(event))])

    def flow(self) -> None:
        """Until nothing is under way."""
        deadline = time.monotonic() + FLOW_SECONDS
        while len(settled(self.log, 0.0)) < DOCUMENTS.partitions:
            self.step()
            assert time.monotonic() < deadline

    def step(self) -> None:
        for loop in self.loops:
            for _ in range(6):
                loop.step()

    def compare(self, limits: Limits | None = None) -> Report:
        """What it found is in `found`."""
        self.found = []
        return compare(
            self.log,
            self.store,
            self.found.extend,
            limits=limits or SOON,
        )

    def kinds(self) -> dict[str, str]:
        """Document -> what is wrong with it."""
        self.compare()
        return {each.key.id: str(each.kind) for each in self.found}

    def mend(self, *, delete_unlogged: bool = False) -> int:
        chosen = [each for each in self.found if mendable(each, delete_unlogged=delete_unlogged)]
        return send(self.log, self.producer, chosen, 1000.0, sleep=lambda _: None)

    # --- Behind its back ---

    def lose_head(self, id: str) -> None:
        self.engine.write(Collection.DOCUMENTS, [Delete(Ids((str(head_id(key(id))),)))])

    def lose_passages(self, id: str, ordinals: Sequence[int]) -> None:
        head = self.store.heads([key(id)])[key(id)]
        ids = head.passage_ids()
        self.engine.write(Collection.PASSAGES, [Delete(Ids(tuple(ids[ordinal] for ordinal in ordinals)))])


_TYPE = "text/markdown"


def _parse(kind: Kind, data: bytes) -> Parsed:
    return formats.parse(kind, data, ParseLimits())
