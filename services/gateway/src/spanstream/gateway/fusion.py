"""One score out of several legs': a convex combination of normalised scores over the same candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Equal weights lie on a plateau of all development sets: docs/decisions/0003-default-ranking.md.
WEIGHTS: Mapping[str, float] = {"dense": 1.0, "spans": 1.0, "lexical": 1.0}

# Below these deviations a leg says little, so its small differences are not blown up: cosines absolutely, BM25 as a
# share of its best score.
COSINE_FLOOR = 0.03
LEXICAL_FLOOR = 0.15


def fuse(legs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Scores [candidates] float32 from each leg's [candidates]; a single leg keeps its own scores. At least one leg."""
    return next(iter(legs.values())) if len(legs) == 1 else combined(legs)


def grades(legs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """[candidates] float32, 0 to 1: how well each belongs, so that several questions of a query compare. At least one leg."""
    graded: NDArray[np.float32] = (1 / (1 + np.exp(-combined(legs)))).astype(np.float32)
    return graded


@dataclass(frozen=True, slots=True)
class Share:
    """What a leg gives to the fused scores: `weight` times `normalised` [candidates]."""

    weight: float
    normalised: NDArray[np.float32] = field(repr=False)


def shares(legs: Mapping[str, NDArray[np.float32]]) -> dict[str, Share]:
    """What each leg gives to `combined`, which is their sum."""
    total = sum(WEIGHTS[name] for name in legs)
    return {
        name: Share(WEIGHTS[name] / total, normalised(scores, _floor(name, scores))) for name, scores in legs.items()
    }


def combined(legs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """[candidates]: the convex combination of the normalised legs."""
    fused: NDArray[np.float32] = np.sum([each.weight * each.normalised for each in shares(legs).values()], axis=0)
    return fused


def normalised(scores: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """z-scores, the deviation at least `floor`; all zero where every candidate scores the same."""
    if not scores.size:
        return scores
    result: NDArray[np.float32] = (scores - scores.mean()) / max(float(scores.std()), floor, 1e-9)
    return result


def _floor(name: str, scores: NDArray[np.float32]) -> float:
    return LEXICAL_FLOOR * float(scores.max(initial=0.0)) if name == "lexical" else COSINE_FLOOR
