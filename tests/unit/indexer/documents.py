"""Documents as the records that reach the indexer: cut, encoded with the hash encoder, in one or several parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from spanstream.encoder.encoder import Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Record
from spanstream.events.codec import headers
from spanstream.events.ids import Key, content_hash
from spanstream.events.segmenter import PASSAGES
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent, Operation
from spanstream.events.v1.embedding_pb2 import VECTOR_TYPE_FLOAT16, EmbeddingEvent
from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED, FailureEvent
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent
from spanstream.store.generation import Generation

DIMENSION = 64
ENCODER = HashEncoder(DIMENSION)
GENERATION = Generation(ENCODER.info().release, DIMENSION, PASSAGES)
_offsets = count()


@dataclass(frozen=True)
class Document:
    """Passages, each a list of sentences; the text joins all with single spaces."""

    key: Key
    version: int
    passages: Sequence[Sequence[str]]
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    accepted_at_us: int = 0
    expires_at_us: int = 0
    blob: bool = False

    @property
    def text(self) -> str:
        return " ".join(sentence for passage in self.passages for sentence in passage)

    @property
    def content_hash(self) -> bytes:
        return content_hash(
            title=self.title,
            content_type="text/plain",
            body=self.text.encode(),
            metadata=self.metadata,
            groups=self.groups,
            expires_at_us=self.expires_at_us,
        )

    def records(self, parts: int = 1, *, unchanged: bool = False) -> list[Record]:
        """The document in up to `parts` records, each with about as many passages."""
        sizes = [len(chunk) for chunk in np.array_split(np.arange(len(self.passages)), parts) if len(chunk)]
        records, first, offset = [], 0, 0
        for size in sizes:
            origin = self._origin(first, size, offset)
            origin.unchanged = unchanged
            event = EmbeddingEvent(origin=origin) if unchanged else embedded(origin, alone=len(sizes) == 1)
            records.append(record(event))
            first, offset = first + size, offset + len(origin.text) + 1
        return records

    def _origin(self, first: int, size: int, offset: int) -> PassageEvent:
        """The passage event of `size` passages; `offset` characters of the whole text come before."""
        event = identity(self.key, self.version, OPERATION_UPSERT, self.content_hash)
        event.title, event.content_type = self.title, "text/plain"
        event.segmenter = f"{PASSAGES} sentencex/1"
        event.metadata.update(dict(self.metadata))
        event.groups.extend(self.groups)
        event.accepted_at_us = self.accepted_at_us
        event.expires_at_us = self.expires_at_us
        event.blob = self.blob
        event.text_offset, event.passage_count = offset, len(self.passages)
        at = offset
        for i, sentences in enumerate(self.passages[first : first + size]):
            passage = Passage(ordinal=first + i, start=at)
            for sentence in sentences:
                passage.spans.extend([at, at + len(sentence)])
                at += len(sentence) + 1
            passage.end = at - 1
            event.passages.append(passage)
        event.text = " ".join(sentence for passage in self.passages[first : first + size] for sentence in passage)
        return event


def identity(key: Key, version: int, operation: Operation, hash: bytes) -> PassageEvent:
    return PassageEvent(
        tenant=key.tenant, source=key.source, id=key.id, version=version, operation=operation, content_hash=hash
    )


def embedded(origin: PassageEvent, *, alone: bool = True) -> EmbeddingEvent:
    """As the embedder makes it: float16, a document vector only where the document is in one event."""
    passages = [(p.start, p.end) for p in origin.passages]
    spans = [pair for p in origin.passages for pair in zip(p.spans[::2], p.spans[1::2], strict=True)]
    ranges = np.array(passages + spans, np.int32).reshape(-1, 2) - origin.text_offset
    result = ENCODER.encode([Text(origin.text, ranges, context=origin.title)])[0]
    half = result.ranges.astype("<f2")
    return EmbeddingEvent(
        origin=origin,
        release=ENCODER.info().release,
        dimension=DIMENSION,
        vector_type=VECTOR_TYPE_FLOAT16,
        passage_vectors=half[: len(passages)].tobytes(),
        span_vectors=half[len(passages) :].tobytes(),
        document_vector=result.whole.astype("<f2").tobytes() if alone else b"",
        passage_tokens=result.tokens[: len(passages)].tolist(),
    )


def record(event: EmbeddingEvent | FailureEvent, key: bytes | None = None) -> Record:
    if isinstance(event, FailureEvent):
        topic, key = FAILURES.name, key or event.key
    else:
        origin = event.origin
        topic, key = EMBEDDINGS.name, key or Key(origin.tenant, origin.source, origin.id).encode()
    return Record(topic, 0, next(_offsets), key, event.SerializeToString(), headers(event), 0)


def deleted(key: Key, version: int) -> Record:
    return record(EmbeddingEvent(origin=identity(key, version, OPERATION_DELETE, bytes(32))))


def failed(key: Key, version: int, blob: str = "") -> Record:
    event = FailureEvent(
        stage="ingestor",
        reason=REASON_PARSE_FAILED,
        detail="it cannot be read",
        failed_at_us=1,
        key=key.encode(),
        tenant=key.tenant,
        source=key.source,
        id=key.id,
        version=version,
    )
    if blob:
        document = DocumentEvent(tenant=key.tenant, source=key.source, id=key.id, version=version, blob=blob)
        event.topic, event.value = DOCUMENTS.name, document.SerializeToString()
    return record(event)
