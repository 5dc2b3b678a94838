"""Like passages should score alike: each candidate's score is evened out over its nearest neighbours among the best.

Score regularisation (Diaz 2005) on the cluster hypothesis (van Rijsbergen 1979). Pure numpy. What each number is worth:
docs/decisions/0011-feedback-and-neighbours.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway.pool import Pool

NEIGHBOURS = 8  # of which each candidate's own score counts for as many; an eighth of the pool where that is smaller


def evened(scores: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """[n] -> [n], of the pool's passages. Where they are so few that none has a neighbour, the scores as they are."""
    count = min(NEIGHBOURS, len(scores) // 8)
    if not count:
        return scores
    near = _affinity(pool)
    np.fill_diagonal(near, 0)
    near[near < np.partition(near, -count, axis=1)[:, -count, None]] = 0
    near = np.maximum(near, 0)
    near /= np.maximum(near.sum(axis=1, keepdims=True), 1e-9)
    return ((NEIGHBOURS * scores + count * (near @ scores)) / (NEIGHBOURS + count)).astype(np.float32)


def _affinity(pool: Pool) -> NDArray[np.float32]:
    """[n, n]: half the cosine of meanings, half that of terms, the common ones counting less."""
    told = pool.weights * pool.rarity
    told /= np.maximum(np.linalg.norm(told, axis=1, keepdims=True), 1e-9)
    return ((pool.dense @ pool.dense.T + told @ told.T) / 2).astype(np.float32)
