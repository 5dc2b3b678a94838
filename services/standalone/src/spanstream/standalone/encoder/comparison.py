"""Two models against the same judgements: figures per query or pair, and whether a difference is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.bootstrap import Interval, interval, interval_of
from spanstream.representations.measures import ndcg, pearson, recall, spearman
from spanstream.standalone.encoder.judgements import Collection

MIN_ITEMS = 20  # of fewer the resampled intervals are too narrow to claim anything
DEPTH = 100
_QUERIES = 64  # scored at once


@dataclass(frozen=True, slots=True)
class Row:
    """One measure in points of 100: of A, of B, and B less A with its interval over `items` queries or pairs."""

    measure: str
    a: float
    b: float
    difference: Interval
    items: int

    @property
    def shown(self) -> bool:
        """Whether a difference is shown."""
        return self.items >= MIN_ITEMS and self.difference.excludes_zero()

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return {
            "measure": self.measure,
            "a": self.a,
            "b": self.b,
            "difference": self.difference.value,
            "interval": [self.difference.low, self.difference.high],
            "items": self.items,
            "shown": self.shown,
        }

    def sentence(self, a: str, b: str) -> str:
        """What follows, in plain words."""
        value, low, high = self.difference
        between = f"95 % interval of B less A {low:+.2f} to {high:+.2f}, over {self.items} {self._unit()}"
        if self.items < MIN_ITEMS:
            return f"{self.items} {self._unit()} are too few to tell; at least {MIN_ITEMS} are needed."
        if not self.shown:
            return f"No difference in {self.measure} is shown between A ({a}) and B ({b}): {between}."
        better, worse = (f"B ({b})", f"A ({a})") if value > 0 else (f"A ({a})", f"B ({b})")
        return f"{better} is better than {worse} by {abs(value):.2f} points of {self.measure}: {between}."

    def _unit(self) -> str:
        return "pairs" if self.measure in CORRELATIONS else "queries"


Correlation = Callable[..., NDArray[np.float64]]
CORRELATIONS: dict[str, Correlation] = {"Spearman": spearman, "Pearson": pearson}


def search(queries: NDArray[np.float32], documents: NDArray[np.float32], depth: int = DEPTH) -> NDArray[np.int64]:
    """The `depth` documents of largest inner product with each query, exactly, best first: [q, depth]; equals by number."""
    depth = min(depth, len(documents))
    found = np.empty((len(queries), depth), np.int64)
    for start in range(0, len(queries), _QUERIES):
        scores = -(queries[start : start + _QUERIES] @ documents.T)
        if depth < len(documents):
            best = np.sort(np.argpartition(scores, depth - 1, axis=1)[:, :depth], axis=1)
        else:
            best = np.broadcast_to(np.arange(len(documents)), scores.shape)
        order = np.argsort(np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found[start : start + _QUERIES] = np.take_along_axis(best, order, axis=1)
    return found


def ranking_scores(
    data: Collection, queries: NDArray[np.float32], documents: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """nDCG@10 and recall@100 of each query [q], 0..100, from the vectors of queries and documents in their order."""
    ids = [document["_id"] for document in data.documents]
    ranked = [[ids[number] for number in row] for row in search(queries, documents)]
    measures: dict[str, Callable[..., float]] = {"nDCG@10": ndcg, f"recall@{DEPTH}": recall}
    return {
        name: np.array(
            [100 * of(found, data.relevant[query]) for query, found in zip(data.queries, ranked, strict=True)]
        )
        for name, of in measures.items()
    }


def compare_rankings(a: dict[str, NDArray[np.float64]], b: dict[str, NDArray[np.float64]]) -> list[Row]:
    """A row per measure of two `ranking_scores`; the mean difference is over queries."""
    return [
        Row(name, float(a[name].mean()), float(b[name].mean()), interval(b[name] - a[name]), len(a[name])) for name in a
    ]


def compare_correlations(a: NDArray[np.float64], b: NDArray[np.float64], scores: Sequence[float]) -> list[Row]:
    """A row per correlation of the cosines `a` and `b` [n] with the judged `scores` [n]; resampled are pairs."""
    rows = []
    for name, correlation in CORRELATIONS.items():

        def difference(counts: NDArray[np.float64], of: Correlation = correlation) -> NDArray[np.float64]:
            return 100 * (of(b, scores, counts) - of(a, scores, counts))

        one, other = (100 * float(correlation(cosines, scores)[0]) for cosines in (a, b))
        rows.append(Row(name, one, other, interval_of(difference, len(scores)), len(scores)))
    return rows
