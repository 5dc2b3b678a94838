"""Hits that do not all say the same: maximal marginal relevance (Carbonell and Goldstein 1998). Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POOL = 50  # hits to choose from; five per wanted hit where that is more


def pool(limit: int) -> int:
    """Hits to choose `limit` from."""
    return max(POOL, 5 * limit)


def diverse(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], diversity: float, taken: NDArray[np.bool_], count: int
) -> list[int]:
    """The `count` hits of n that are relevant and unlike those before, in order of choice.

    `scores` [n], taken for 0 to 1 between the least and the greatest; `vectors` [n, d] unit or zero; `taken` [n] hits
    that were shown before. Each choice has the greatest (1 - diversity) * relevance - diversity * cosine with the nearest of
    those before it; without any before it, the best hit is first.
    """
    spread = float(np.ptp(scores)) if scores.size else 0.0
    relevance = (scores - scores.min()) / spread if spread else np.ones_like(scores)
    alike = vectors @ vectors.T
    nearest = alike[:, taken].max(axis=1) if taken.any() else np.zeros_like(relevance)
    chosen: list[int] = []
    left = ~taken
    while len(chosen) < count and left.any():
        gain = (1 - diversity) * relevance - diversity * nearest
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        nearest = np.maximum(nearest, alike[best]) if chosen or taken.any() else alike[best].copy()
        left[best] = False
        chosen.append(best)
    return chosen
