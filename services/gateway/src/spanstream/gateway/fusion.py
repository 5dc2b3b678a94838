"""One score out of several legs': a convex combination of normalised scores over the same candidates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Lexical counts most because it errs where the two meanings' legs, which err alike, do not.
WEIGHTS: Mapping[str, float] = {"dense": 0.3, "spans": 0.3, "lexical": 0.4}


def fuse(legs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Scores [candidates] float32 from each leg's [candidates]; a single leg keeps its own scores. At least one leg."""
    if len(legs) == 1:
        return next(iter(legs.values()))
    total = sum(WEIGHTS[name] for name in legs)
    fused: NDArray[np.float32] = np.sum(
        [WEIGHTS[name] / total * normalised(scores) for name, scores in legs.items()], axis=0
    )
    return fused


def normalised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0, deviation 1; all zero where every candidate scores the same and the leg says nothing."""
    deviation = scores.std() if scores.size else 0.0
    if deviation < 1e-6:
        return np.zeros_like(scores)
    result: NDArray[np.float32] = (scores - scores.mean()) / deviation
    return result
