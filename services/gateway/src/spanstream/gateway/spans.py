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


# What holding all of the question's words adds to a span's cosine: 0.3 to 2 do as well, 0 names the answer's sentence in
# 69 instead of 76 of 100 cases (docs/decisions/0003-default-ranking.md).
COVERAGE_WEIGHT = 0.5


def best_by_meaning(
    passage: Passage, vectors: NDArray[np.float32], question: NDArray[np.float32], terms: Sparse, count: int
) -> list[FoundSpan]:
    """The `count` spans with the largest cosine + weighted coverage; `vectors` [spans, dimension], of unit length."""
    return _best(passage, vectors @ question + COVERAGE_WEIGHT * _coverage(passage, terms), count)


def best_by_terms(passage: Passage, terms: Sparse, count: int) -> list[FoundSpan]:
    """The `count` spans that hold the largest share of the question's terms; none without any."""
    return [span for span in _best(passage, _coverage(passage, terms), count) if span.score > 0]


def _coverage(passage: Passage, terms: Sparse) -> NDArray[np.float32]:
    """Per span the weighted share of the question's terms that it holds, 0..1."""
    if not len(terms.indices):
        return np.zeros(len(passage.span_offsets), np.float32)
    texts = (_text(passage, *offsets) for offsets in passage.span_offsets.tolist())
    held = [np.isin(terms.indices, query_terms(text).indices) for text in texts]
    shares = [float(terms.values[found].sum() / terms.values.sum()) for found in held]
    return np.array(shares, np.float32)


def _best(passage: Passage, scores: NDArray[np.float32], count: int) -> list[FoundSpan]:
    spans = passage.span_offsets.tolist()
    order = np.argsort(-scores, kind="stable")[:count].tolist()
    return [
        FoundSpan(start, end, _text(passage, start, end), float(scores[i])) for i in order for start, end in [spans[i]]
    ]


def _text(passage: Passage, start: int, end: int) -> str:
    return passage.text[start - passage.start : end - passage.start]
