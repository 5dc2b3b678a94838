"""One score out of several legs' over the same candidates: a convex combination of normalised scores, or a fusion of the field's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# Equal weights lie on a plateau of all development sets: docs/decisions/0003-default-ranking.md.
WEIGHTS: Mapping[str, float] = {"dense": 1.0, "spans": 1.0, "lexical": 1.0}

# Below these deviations a leg says little, so its small differences are not blown up: cosines absolutely, BM25 as a
# share of its best score.
COSINE_FLOOR = 0.03
LEXICAL_FLOOR = 0.15


RANK_OFFSET = 60  # of reciprocal rank fusion, as published
DEVIATIONS = 3.0  # either side of a leg's mean that distribution-based fusion tells apart

Legs = Mapping[str, NDArray[np.float32]]  # by name [candidates], 0 where a leg has no score; at least one leg


class Fusion(StrEnum):
    """How legs become one score."""

    CONVEX = "convex"
    RRF = "rrf"
    DBSF = "dbsf"


def fuse(legs: Legs, fusion: Fusion = Fusion.CONVEX) -> NDArray[np.float32]:
    """Scores [candidates] float32; a single leg keeps its own."""
    return next(iter(legs.values())) if len(legs) == 1 else _FUSED[fusion](legs)


def grades(legs: Legs, fusion: Fusion = Fusion.CONVEX) -> NDArray[np.float32]:
    """[candidates] float32, 0 to 1: how well each belongs, so that several questions of a query compare."""
    if len(legs) == 1 or fusion is Fusion.CONVEX:
        return logistic(convex(legs))
    return logistic(normalised(_FUSED[fusion](legs), 0.0))


def logistic(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 to 1."""
    graded: NDArray[np.float32] = (1 / (1 + np.exp(-scores))).astype(np.float32)
    return graded


def reciprocal_ranks(legs: Legs) -> NDArray[np.float32]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): what a leg has no score for, it does not rank."""
    fused = np.zeros(len(next(iter(legs.values()))), np.float32)
    for scores in legs.values():
        ranked = np.argsort(-scores, kind="stable")
        ranked = ranked[scores[ranked] != 0]
        fused[ranked] += 1 / (RANK_OFFSET + 1 + np.arange(len(ranked), dtype=np.float32))
    return fused


def distribution_based(legs: Legs) -> NDArray[np.float32]:
    """The sum of scores over their range of three deviations around the mean, 0 to 1 each (Mazzeschi 2023)."""
    within = [np.clip(0.5 + normalised(scores, 0.0) / (2 * DEVIATIONS), 0, 1) for scores in legs.values()]
    fused: NDArray[np.float32] = np.sum(within, axis=0).astype(np.float32)
    return fused


def convex(legs: Legs) -> NDArray[np.float32]:
    """The convex combination of the normalised legs."""
    total = sum(WEIGHTS[name] for name in legs)
    fused: NDArray[np.float32] = np.sum(
        [WEIGHTS[name] / total * normalised(scores, _floor(name, scores)) for name, scores in legs.items()], axis=0
    )
    return fused


def normalised(scores: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """z-scores, the deviation at least `floor`; all zero where every candidate scores the same."""
    if not scores.size:
        return scores
    result: NDArray[np.float32] = (scores - scores.mean()) / max(float(scores.std()), floor, 1e-9)
    return result


_FUSED = {Fusion.CONVEX: convex, Fusion.RRF: reciprocal_ranks, Fusion.DBSF: distribution_based}


def _floor(name: str, scores: NDArray[np.float32]) -> float:
    return LEXICAL_FLOOR * float(scores.max(initial=0.0)) if name == "lexical" else COSINE_FLOOR
