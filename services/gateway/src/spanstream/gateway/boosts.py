"""Some passages count for more: a factor on the odds that a passage belongs, for those that a filter keeps. Pure numpy.

Scores may be negative (they are normalised), so a factor on them would lower half of what it should raise. A score is taken
for a logarithm of odds, in deviations of the candidates' scores: a factor f adds log f deviations. So a factor of 1 changes
nothing, the order of boosts says nothing, and no passage is lowered by a factor above 1 or raised by one below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanstream.store.queries import Condition

FLOOR = 0.05  # of the greatest score: the least deviation, so that a boost decides between equals


@dataclass(frozen=True, slots=True)
class Boost:
    """Passages that `where` keeps count `factor` times as much."""

    where: Condition
    factor: float


def boosted(
    scores: NDArray[np.float64], factors: Sequence[float], held: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """[n] -> [n]; `held` [factors][n]: whether a passage is among those of a factor."""
    if not scores.size:
        return scores
    gain = np.zeros_like(scores)
    for factor, those in sorted(zip(factors, held, strict=True), key=lambda pair: pair[0]):
        gain += np.log(factor) * those
    deviation = max(float(scores.std()), FLOOR * float(np.abs(scores).max()), 1e-6)
    result: NDArray[np.float64] = scores + deviation * gain
    return result
