"""What the indexer does with a record, on an index of its own, to be tried out in a child process."""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Handler
from spanstream.events import codec
from spanstream.events.topics import EMBEDDINGS
from spanstream.events.v1.embedding_pb2 import VECTOR_TYPE_FLOAT32, EmbeddingEvent
from spanstream.indexer.changes import Part
from spanstream.indexer.handler import Indexer, Result
from spanstream.runtime.canary import passages
from spanstream.store.compression import Compression
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.opening import open_store
from spanstream.store.store import Store


def handler(edge: bool) -> Handler:
    """`edge`: on the engine that would be in the process, else in memory."""
    folder = Path(tempfile.mkdtemp())  # below the one that goes with this process
    opened: dict[str, Indexer] = {}  # the last generation's alone

    def tried(records: Sequence[Record]) -> Iterable[Result]:
        generation = _generation(records[0])
        if generation.name not in opened:
            store: Store = open_store(f"edge:{folder / generation.name}") if edge else MemoryStore()
            store.open(generation.name, generation.dimension, Compression.NONE)
            opened.clear()
            opened[generation.name] = Indexer(store, generation, lambda: time.time_ns() // 1000)
        return opened[generation.name](records)

    return tried


def _generation(record: Record) -> Generation:
    """As the record has it."""
    if record.topic != EMBEDDINGS.name:
        return Generation("none", 1, "none")
    event = Part.read(record).event
    segmenter = event.origin.segmenter.partition(" ")[0]
    return Generation(event.release or "none", min(max(1, event.dimension), 4096), segmenter or "none")


def canary() -> Record:
    """A document of one passage, in two dimensions."""
    origin = passages()
    unit = struct.pack("<2f", 1.0, 0.0)
    event = EmbeddingEvent(
        origin=origin,
        release="canary",
        dimension=2,
        vector_type=VECTOR_TYPE_FLOAT32,
        passage_vectors=unit,
        span_vectors=unit,
        document_vector=unit,
        passage_tokens=[4],
    )
    key = codec.key_of(origin).encode()
    return Record(EMBEDDINGS.name, 0, 0, key, event.SerializeToString(), codec.headers(event))
