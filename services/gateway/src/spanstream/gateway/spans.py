"""Which spans of a passage answer best: an arg-max over the few passages that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway.asking import Asked
from spanstream.store.lexical import held_terms
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


def best(
    passage: Passage, vectors: NDArray[np.float32] | None, asked: Sequence[Asked], count: int
) -> Sequence[FoundSpan]:
    """The `count` spans that answer any of what is asked best, by falling score.

    A span's score is its cosine + weighted coverage of the terms; `vectors` [spans, dimension], of unit length. Where there
    are none, or none is asked for, it is the share of terms alone, and a span without any of them is not named.
    """
    if not len(passage.span_offsets) or not asked:
        return ()
    scores = np.max([_scores(passage, vectors, each) for each in asked], axis=0)
    spans = passage.span_offsets.tolist()
    order = np.argsort(-scores, kind="stable")[:count].tolist()
    return [
        FoundSpan(start, end, _text(passage, start, end), float(scores[i]))
        for i in order
        if np.isfinite(scores[i])
        for start, end in [spans[i]]
    ]


def _scores(passage: Passage, vectors: NDArray[np.float32] | None, asked: Asked) -> NDArray[np.float32]:
    """Per span; minus infinity where nothing speaks for it."""
    covered = _coverage(passage, asked.terms)
    if vectors is None or asked.vector is None:
        return np.where(covered > 0, covered, -np.inf).astype(np.float32)
    scores: NDArray[np.float32] = vectors @ asked.vector + COVERAGE_WEIGHT * covered
    return scores


def _coverage(passage: Passage, terms: Sparse) -> NDArray[np.float32]:
    """Per span the weighted share of the question's terms that it holds, 0..1."""
    if not len(terms.indices):
        return np.zeros(len(passage.span_offsets), np.float32)
    texts = (_text(passage, *offsets) for offsets in passage.span_offsets.tolist())
    asked, weights = terms.indices.tolist(), terms.values.tolist()  # a dozen each: too few for arrays to pay
    shares = []
    for text in texts:
        held = held_terms(text)
        shares.append(sum(weight for term, weight in zip(asked, weights, strict=True) if term in held))
    return np.array(shares, np.float32) / np.float32(sum(weights))


def _text(passage: Passage, start: int, end: int) -> str:
    return passage.text[start - passage.start : end - passage.start]
