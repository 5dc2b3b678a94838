"""What a migration will cost: counted in the live index, and measured with the new release on a few of its documents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import SystemRandom

import numpy as np

from spanstream.encoder.encoder import Encoder, Text
from spanstream.store.points import Passage
from spanstream.store.sampling import drawn
from spanstream.store.store import Store

DOCUMENTS = 50  # of the sample
SECONDS = 5.0  # of the measurement
COMPONENT_BYTES = 2  # float16
_BATCH = 8  # documents


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of the live documents; all but `documents` are about right. `vector_bytes`: of the new generation's vectors alone.

    `hours`: at the measured speed while nothing else is encoded, or at the rate where that is slower.
    """

    documents: int
    passages: int
    characters: int
    tokens: int
    vectors: int
    vector_bytes: int
    documents_per_second: float
    hours: float


def estimate(store: Store, documents: int, encoder: Encoder, rate: float) -> Estimate:
    """`rate`: documents a second; 0: unbounded. Raises what store and encoder do."""
    read = _sample(store)
    flat = [passage for passages in read for passage in passages]
    each = documents / max(1, len(read))
    vectors = _vectors(documents, read)
    measured = _speed(read, encoder)
    speed = min(measured, rate) if rate else measured
    return Estimate(
        documents=documents,
        passages=round(each * len(flat)),
        characters=round(each * sum(len(passage.text) for passage in flat)),
        tokens=round(each * sum(passage.tokens for passage in flat)),
        vectors=vectors,
        vector_bytes=vectors * encoder.info().dimension * COMPONENT_BYTES,
        documents_per_second=round(measured, 2),
        hours=round(documents / speed / 3600, 4) if speed else 0.0,
    )


def vector_bytes(store: Store, documents: int, dimension: int) -> int:
    """As in an Estimate, which nothing is encoded for. Raises what the store does."""
    return _vectors(documents, _sample(store)) * dimension * COMPONENT_BYTES


def _sample(store: Store) -> list[list[Passage]]:
    """The passages of about DOCUMENTS documents, drawn by chance."""
    return [store.passages(head) for head in drawn(store, DOCUMENTS, SystemRandom())]


def _vectors(documents: int, sample: Sequence[Sequence[Passage]]) -> int:
    """Of so many documents like these: one of each document, passage and span."""
    found = len(sample) + sum(1 + len(passage.span_offsets) for passages in sample for passage in passages)
    return round(documents / max(1, len(sample)) * found)


def _speed(documents: Sequence[Sequence[Passage]], encoder: Encoder) -> float:
    """Documents a second; 0 where there are none. The first texts only warm it."""
    texts = [[_text(passage) for passage in passages] for passages in documents if passages]
    if not texts:
        return 0.0
    encoder.encode(texts[0][:1])
    began, done = time.monotonic(), 0
    while done < len(texts) and time.monotonic() - began < SECONDS:
        batch = texts[done : done + _BATCH]
        encoder.encode([text for document in batch for text in document])
        done += len(batch)
    return done / max(1e-6, time.monotonic() - began)


def _text(passage: Passage) -> Text:
    spans = np.asarray(passage.span_offsets, np.int32).reshape(-1, 2) - np.int32(passage.start)
    return Text(passage.text, spans, passage.title)
