"""Which spans of a passage answer best: an arg-max over the few passages that are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.store.lexical import query_terms
from spanstream.store.points import Passage, Sparse


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """Offsets are characters of the document's normalised text, half-open."""

    start: int
    end: int
    text: str = field(repr=False)
    score: float


def best_by_vector(
    passage: Passage, vectors: NDArray[np.float32], question: NDArray[np.float32], count: int
) -> list[FoundSpan]:
    """The `count` spans closest to the question [dimension]; `vectors` [spans, dimension], of unit length."""
    return _best(passage, vectors @ question, count)


def best_by_terms(passage: Passage, terms: Sparse, count: int) -> list[FoundSpan]:
    """The `count` spans that hold the largest share of the question's terms; none without any."""
    texts = (_text(passage, *offsets) for offsets in passage.span_offsets.tolist())
    held = [np.isin(terms.indices, query_terms(text).indices) for text in texts]
    shares = np.array([terms.values[found].sum() for found in held], np.float32) / terms.values.sum()
    return [span for span in _best(passage, shares, count) if span.score > 0]


def _best(passage: Passage, scores: NDArray[np.float32], count: int) -> list[FoundSpan]:
    spans = passage.span_offsets.tolist()
    order = np.argsort(-scores, kind="stable")[:count].tolist()
    return [
        FoundSpan(start, end, _text(passage, start, end), float(scores[i])) for i in order for start, end in [spans[i]]
    ]


def _text(passage: Passage, start: int, end: int) -> str:
    return passage.text[start - passage.start : end - passage.start]
