"""How well passages meet standing queries: each pair for itself, so that a score says the same whenever it is asked for.

A part of a query, a text or an example, scores a passage 0 to 1:

    (1 - WORDS) * (cosine - unrelated) / (1 - unrelated)  +  WORDS * share of the part's terms that the passage holds

The cosine is the largest with the passage's vector and its spans'; `unrelated` is that of texts without any relation under
the same encoder, so 0 means no relation and 1 the same meaning under any. A query's parts are put together as in search:
`not` is the complement, `all` the geometric mean, `any` its dual. What the weight is worth:
docs/decisions/0014-standing-queries.md. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanstream.store.points import Passage
from spanstream.store.standing import Computed, Plan, StandingQuery

WORDS = 0.2
MAX_ROWS = 4096  # vectors of one product, or those of one passage: what it takes in memory has a bound
_LEAST = 1e-6  # a score of 0 would outvote everything else in an `all`

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A query and the passage of a document that meets it best; `document` and `passage` are positions."""

    query: StandingQuery
    document: int
    passage: int
    score: float


class Matcher:
    """Queries of one generation, side by side."""

    def __init__(self, queries: Sequence[StandingQuery]) -> None:
        """At least one; all computed."""
        self.queries = [(query, query.computed) for query in queries if query.computed is not None]
        parts = [part for _, computed in self.queries for part in computed.parts]
        counts = [len(computed.parts) for _, computed in self.queries]
        self._bounds = [0, *np.cumsum(counts).tolist()]
        self._vectors = np.stack([part.vector for part in parts])
        self._unrelated = np.repeat(np.array([each.unrelated for _, each in self.queries], np.float32), counts)
        sizes = [len(part.terms.indices) for part in parts]
        self._worded = np.array(sizes) > 0
        shares = [part.terms.values / part.terms.values.sum() for part in parts if len(part.terms.indices)]
        terms = np.concatenate([part.terms.indices for part in parts])
        order = np.argsort(terms, kind="stable")
        self._terms = terms[order]  # of all parts, sorted: whose each is, and which share of its part's weight
        self._part_of = np.repeat(np.arange(len(parts)), sizes)[order]
        self._shares = np.concatenate([*shares, np.empty(0, np.float32)])[order]

    def meet(self, documents: Sequence[Sequence[Passage]]) -> Iterator[Meeting]:
        """Every query and document whose best passage reaches the query's threshold. Each document has passages, with
        all their vectors."""
        flat = [passage for passages in documents for passage in passages]
        starts = np.cumsum([0, *map(len, documents)])
        parts = self.scores(flat)
        for (query, computed), (first, last) in zip(self.queries, pairwise(self._bounds), strict=True):
            grades = grade(computed.plan, parts[:, first:last])
            best = np.maximum.reduceat(grades, starts[:-1])
            for document in np.flatnonzero(best >= np.float32(query.threshold)).tolist():
                begin, end = starts[document], starts[document + 1]
                yield Meeting(query, document, int(grades[begin:end].argmax()), float(best[document]))

    def scores(self, passages: Sequence[Passage]) -> Scores:
        """[passages, parts], 0 to 1."""
        return np.concatenate([self._some(part) for part in _portions(passages)])

    def _some(self, passages: Sequence[Passage]) -> Scores:
        vectors = [rows for passage in passages for rows in _vectors(passage)]
        starts = np.cumsum([0, *(_rows(passage) for passage in passages)])[:-1]
        cosines = np.maximum.reduceat(np.concatenate(vectors) @ self._vectors.T, starts)
        meant = np.clip((cosines - self._unrelated) / (1 - self._unrelated), 0, 1)
        mixed = (1 - WORDS) * meant + WORDS * self._held(passages)
        scores: Scores = np.where(self._worded, mixed, meant).astype(np.float32)
        return scores

    def _held(self, passages: Sequence[Passage]) -> NDArray[np.float64]:
        """[passages, parts]: which share of each part's terms each passage holds."""
        indices = [_NO_TERMS if passage.lexical is None else passage.lexical.indices for passage in passages]
        owner = np.repeat(np.arange(len(passages)), [len(each) for each in indices])
        every = np.concatenate(indices)
        first = np.searchsorted(self._terms, every, "left")
        count = np.searchsorted(self._terms, every, "right") - first
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        found = np.repeat(first, count) + within  # positions of all the parts' terms that some passage holds
        parts = len(self._vectors)
        cells = np.repeat(owner, count) * parts + self._part_of[found]
        held = np.bincount(cells, self._shares[found], len(passages) * parts).astype(np.float64)
        return held.reshape(len(passages), parts)


_NO_TERMS = np.empty(0, np.uint32)


def grade(plan: Plan, parts: Scores) -> Scores:
    """[passages] out of [passages, parts]: the laws of the gateway's `meanings.grade`, to which it is held by a test."""
    if isinstance(plan, int):
        return parts[:, plan]
    kind, *inner = plan
    grades = [grade(each, parts) for each in inner]
    if kind == "not":
        return 1 - grades[0]
    return _together(grades) if kind == "all" else 1 - _together([1 - each for each in grades])


def best_span(passage: Passage, computed: Computed) -> tuple[int, int]:
    """The span nearest to anything that the query looks for; the whole passage where it has none."""
    if passage.spans is None or not len(passage.spans):
        return passage.start, passage.end
    sought = np.stack([computed.parts[part].vector for part in _sought(computed.plan)])
    start, end = passage.span_offsets[int((passage.spans @ sought.T).max(axis=1).argmax())].tolist()
    return start, end


def _sought(plan: Plan, *, negated: bool = False) -> Iterator[int]:
    if isinstance(plan, int):
        if not negated:
            yield plan
        return
    kind, *inner = plan
    for each in inner:
        yield from _sought(each, negated=negated != (kind == "not"))


def _together(grades: Sequence[Scores]) -> Scores:
    mean: Scores = np.exp(np.mean(np.log(np.clip(grades, _LEAST, 1)), axis=0)).astype(np.float32)
    return mean


def _vectors(passage: Passage) -> Iterator[Scores]:
    assert passage.dense is not None
    yield passage.dense[None]
    if passage.spans is not None and len(passage.spans):
        yield passage.spans


def _rows(passage: Passage) -> int:
    return 1 + (0 if passage.spans is None else len(passage.spans))


def _portions(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    portion: list[Passage] = []
    rows = 0
    for passage in passages:
        if portion and rows + _rows(passage) > MAX_ROWS:
            yield portion
            portion, rows = [], 0
        portion.append(passage)
        rows += _rows(passage)
    yield portion
