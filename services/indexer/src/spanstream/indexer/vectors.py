"""From the bytes of an EmbeddingEvent to passages with vectors, every size and offset checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray

from spanstream.events.codec import key_of
from spanstream.events.errors import Undecodable
from spanstream.events.v1.embedding_pb2 import VECTOR_TYPE_FLOAT16, VECTOR_TYPE_FLOAT32, EmbeddingEvent
from spanstream.events.v1.failure_pb2 import REASON_EMBED_INVALID, REASON_SCHEMA_INVALID
from spanstream.store.generation import Generation
from spanstream.store.lexical import document_terms
from spanstream.store.points import Passage

DTYPES: dict[int, np.dtype[Any]] = {VECTOR_TYPE_FLOAT32: np.dtype("<f4"), VECTOR_TYPE_FLOAT16: np.dtype("<f2")}
UNIT_TOLERANCE = 1e-2  # float16 on the wire is off by 1e-3 at most


def passages(event: EmbeddingEvent, generation: Generation) -> list[Passage]:
    """The event's passages, ready to be written. Raises Undecodable: SCHEMA_INVALID or EMBED_INVALID."""
    origin = event.origin
    if not origin.passages or len(origin.passages) > origin.passage_count:
        raise Undecodable(REASON_SCHEMA_INVALID, "an upsert needs passages, and no more than passage_count")
    if len({passage.ordinal for passage in origin.passages}) < len(origin.passages):
        # Written under the same id they would never add up to passage_count: the document would wait for ever.
        raise Undecodable(REASON_SCHEMA_INVALID, "two passages have the same ordinal")
    if (event.release, event.dimension) != (generation.release, generation.dimension):
        raise Undecodable(
            REASON_EMBED_INVALID,
            f"vectors of {event.release} in {event.dimension} dimensions; this index holds {generation.release} in"
            f" {generation.dimension}",
        )
    if (cut := origin.segmenter.partition(" ")[0]) != generation.segmenter:
        raise Undecodable(
            REASON_EMBED_INVALID,
            f"cut by {cut or 'none'}, this index holds {generation.segmenter}: SPANS must be equal in ingestor, indexer"
            " and gateway",
        )
    spans = [_offsets(p.start, p.end, p.spans) for p in origin.passages]
    dense = _matrix(event, "passage_vectors", len(spans))
    fine = _matrix(event, "span_vectors", sum(map(len, spans)))
    if len(event.passage_tokens) != len(spans):
        raise Undecodable(REASON_EMBED_INVALID, f"{len(event.passage_tokens)} token counts for {len(spans)} passages")
    if event.document_vector:
        _matrix(event, "document_vector", 1)
    try:
        metadata = MessageToDict(origin.metadata)
    except ValueError as error:  # as JSON has no NaN and no infinity
        raise Undecodable(REASON_SCHEMA_INVALID, f"metadata: {error}") from error
    key, groups = key_of(origin), tuple(origin.groups)
    result, at = [], 0
    for i, passage in enumerate(origin.passages):
        start, end = passage.start - origin.text_offset, passage.end - origin.text_offset
        inside = 0 <= start < end <= len(origin.text) and passage.end < 2**31
        if not (inside and passage.ordinal < origin.passage_count):
            raise Undecodable(REASON_SCHEMA_INVALID, f"passage {passage.ordinal} lies outside the text or the document")
        text = origin.text[start:end]
        result.append(
            Passage(
                key=key,
                version=origin.version,
                content_hash=origin.content_hash,
                ordinal=passage.ordinal,
                start=passage.start,
                end=passage.end,
                text=text,
                title=origin.title,
                metadata=metadata,
                groups=groups,
                tokens=event.passage_tokens[i],
                span_offsets=spans[i],
                dense=dense[i],
                spans=fine[at : at + len(spans[i])],
                lexical=document_terms(text, title=origin.title),
            )
        )
        at += len(spans[i])
    return result


def document_vector(event: EmbeddingEvent, written: Sequence[Passage]) -> NDArray[np.float32]:
    """The document's vector [dimension]: the event's own, else the token-weighted mean of its passages'."""
    if event.document_vector:
        vector: NDArray[np.float32] = _matrix(event, "document_vector", 1)[0]
        return vector
    weights = np.array([max(1, passage.tokens) for passage in written], np.float32)
    mean = weights @ np.stack([passage.dense for passage in written if passage.dense is not None])
    norm = np.linalg.norm(mean)
    return (mean / norm if norm else mean).astype(np.float32)


def _offsets(start: int, end: int, flat: Sequence[int]) -> NDArray[np.int32]:
    """Spans [n, 2] of a passage, each inside it."""
    if len(flat) % 2:
        raise Undecodable(REASON_SCHEMA_INVALID, "spans must be pairs of start and end")
    offsets = np.array(flat, np.int64).reshape(-1, 2)
    if len(offsets) and not ((start <= offsets[:, 0]) & (offsets[:, 0] < offsets[:, 1]) & (offsets[:, 1] <= end)).all():
        raise Undecodable(REASON_SCHEMA_INVALID, "a span lies outside its passage")
    return offsets.astype(np.int32)


def _matrix(event: EmbeddingEvent, name: str, rows: int) -> NDArray[np.float32]:
    """Unit vectors [rows, dimension] float32 out of the bytes of a field."""
    dtype = DTYPES.get(event.vector_type)
    if dtype is None:
        raise Undecodable(REASON_EMBED_INVALID, "vector_type is neither FLOAT32 nor FLOAT16")
    data: bytes = getattr(event, name)
    if len(data) != rows * event.dimension * dtype.itemsize:
        raise Undecodable(REASON_EMBED_INVALID, f"{name} has {len(data)} bytes for {rows} x {event.dimension} {dtype}")
    matrix: NDArray[np.float32] = np.frombuffer(data, dtype).reshape(rows, event.dimension).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(matrix, axis=1)
    if not (np.abs(norms - 1) <= UNIT_TOLERANCE).all():  # NaN compares false
        raise Undecodable(REASON_EMBED_INVALID, f"{name} holds a vector that is not finite or not of unit length")
    return matrix
