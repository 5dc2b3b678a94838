"""Measures of quality against judgements: rankings against relevant documents, similarities against given scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float], depth: int = 10) -> float:
    """Normalised discounted cumulative gain with linear gains, 0..1 (Järvelin and Kekäläinen 2002)."""
    gains = sorted((grade for grade in relevant.values() if grade > 0), reverse=True)[:depth]
    ideal = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))
    found = (max(relevant.get(document, 0.0), 0.0) for document in ranked[:depth])
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(found)) / ideal if ideal else 0.0


def recall(ranked: Sequence[str], relevant: Mapping[str, float], depth: int = 100) -> float:
    """Share of the relevant documents that are among the first `depth`, 0..1; 0 where none is relevant."""
    wanted = {document for document, grade in relevant.items() if grade > 0}
    return len(wanted.intersection(ranked[:depth])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, float], depth: int = 10) -> float:
    """1 / the rank of the first relevant document, 0 if none is among the first `depth` (Voorhees 1999)."""
    ranks = (rank for rank, document in enumerate(ranked[:depth], 1) if relevant.get(document, 0.0) > 0)
    return 1 / next(ranks, math.inf)


def pearson(x: ArrayLike, y: ArrayLike, counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Correlation of `x` and `y`, [n] or [r, n]; item i counts `counts` [r, n] times. Result [r], 0 where one is constant."""
    a, b = np.atleast_2d(np.asarray(x, np.float64)), np.atleast_2d(np.asarray(y, np.float64))
    counts = np.ones((1, a.shape[1])) if counts is None else counts
    total = counts.sum(axis=1, keepdims=True)
    a = a - (counts * a).sum(axis=1, keepdims=True) / total
    b = b - (counts * b).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((counts * a * a).sum(axis=1) * (counts * b * b).sum(axis=1))
    together: NDArray[np.float64] = (counts * a * b).sum(axis=1)
    correlation: NDArray[np.float64] = np.zeros_like(together)
    np.divide(together, spread, out=correlation, where=spread > 1e-12 * total[:, 0])
    return correlation


def spearman(x: ArrayLike, y: ArrayLike, counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Rank correlation of `x` [n] and `y` [n], equal values sharing their middle rank; `counts` and result as in `pearson`."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    counts = np.ones((1, len(a))) if counts is None else counts
    return pearson(_ranks(a, counts), _ranks(b, counts), counts)


def _ranks(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle ranks [r, n] of `values` [n] of which item i is there `counts` [r, n] times."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    held = np.add.reduceat(counts[:, order], starts, axis=1)  # [r, groups]
    middle: NDArray[np.float64] = np.cumsum(held, axis=1) - (held - 1) / 2
    return middle[:, group]
