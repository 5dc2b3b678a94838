"""What a search's hits are worth against judgements, query by query. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.client.results import Hit
from spanstream.representations.bootstrap import Interval, chance, interval
from spanstream.representations.measures import ndcg, recall, reciprocal_rank

DEPTH = 100  # hits that are looked at
MAIN = "nDCG@10"
RANKING = (MAIN, "recall@100", "MRR@10")
SPANS = ("answer in span", "span precision", "span recall", "span IoU")
_WORD = re.compile(r"\w+")

Answers = Sequence[tuple[str, int, int]]  # document, start, end
Scores = Mapping[str, NDArray[np.float64]]  # measure -> [queries], in points of 100


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two configurations over the same queries: the mean of B less A in points, its interval, and p of a randomisation
    test.
    """

    value: Interval
    p: float
    queries: int = field(default=0)


def ranking(hits: Sequence[Hit], relevant: Mapping[str, float]) -> dict[str, float]:
    """The measures of RANKING, in points of 100."""
    found = [hit.id for hit in hits]
    measured = (ndcg(found, relevant), recall(found, relevant, DEPTH), reciprocal_rank(found, relevant))
    return {name: 100 * value for name, value in zip(RANKING, measured, strict=True)}


def spans(hits: Sequence[Hit], answers: Answers) -> dict[str, float]:
    """The measures of SPANS, in points of 100: the first hit's best span against the answer that it meets best.

    Precision, recall and intersection over union are of words. A span of another document meets none.
    """
    best = max((_overlap(hits[0], *answer) for answer in answers), default=None) if hits else None
    both, span, answer = best[1:] if best else (0, 0, 0)
    inside = float(both == answer > 0)
    shares = (inside, both / max(span, 1), both / max(answer, 1), both / max(span + answer - both, 1))
    return {name: 100 * value for name, value in zip(SPANS, shares, strict=True)}


def _overlap(hit: Hit, document: str, start: int, end: int) -> tuple[float, int, int, int]:
    """The share of the answer's words that the best span holds, then words of both, of the span and of the answer."""
    if hit.id != document or not hit.passages or not hit.passages[0].spans:
        return 0.0, 0, 0, 0
    passage, span = hit.passages[0], hit.passages[0].spans[0]
    bounds = [(passage.start + word.start(), passage.start + word.end()) for word in _WORD.finditer(passage.text)]
    held = {word for word in bounds if word[0] >= span.start and word[1] <= span.end}
    wanted = {word for word in bounds if word[0] < end and word[1] > start}
    return len(held & wanted) / max(len(wanted), 1), len(held & wanted), len(held), len(wanted)


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Of B less A, query by query [n]."""
    return Difference(interval(b - a), chance(b - a), len(a))
