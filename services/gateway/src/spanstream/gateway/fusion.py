"""One score out of several legs' over the same candidates: a convex combination of normalised scores, or a fusion of the field's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    return next(iter(legs.values())) if len(legs) == 1 else combined(legs, fusion)


def grades(legs: Legs, fusion: Fusion = Fusion.CONVEX) -> NDArray[np.float32]:
    """[candidates] float32, 0 to 1: how well each belongs, so that several questions of a query compare."""
    if len(legs) == 1 or fusion is Fusion.CONVEX:
        return logistic(combined(legs))
    return logistic(normalised(combined(legs, fusion), 0.0))


def grades_of(questions: Sequence[Legs], candidates: int, fusion: Fusion = Fusion.CONVEX) -> list[NDArray[np.float32]]:
    """[candidates] for each question; what has no leg, such as words of no weight, has no say."""
    neutral = np.full(candidates, 0.5, np.float32)
    return [grades(legs, fusion) if legs else neutral for legs in questions]


def logistic(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 to 1."""
    graded: NDArray[np.float32] = (1 / (1 + np.exp(-scores))).astype(np.float32)
    return graded


@dataclass(frozen=True, slots=True)
class Share:
    """What a leg gives to the fused scores: `weight` times `normalised` [candidates]."""

    weight: float
    normalised: NDArray[np.float32] = field(repr=False)


def shares(legs: Legs, fusion: Fusion = Fusion.CONVEX) -> dict[str, Share]:
    """What each leg gives to `combined`, which is their sum."""
    match fusion:
        case Fusion.RRF:
            return {name: Share(1.0, _reciprocal_ranks(scores)) for name, scores in legs.items()}
        case Fusion.DBSF:
            return {name: Share(1.0, _within_deviations(scores)) for name, scores in legs.items()}
        case Fusion.CONVEX:
            total = sum(WEIGHTS[name] for name in legs)
            return {
                name: Share(WEIGHTS[name] / total, normalised(scores, _floor(name, scores)))
                for name, scores in legs.items()
            }


def combined(legs: Legs, fusion: Fusion = Fusion.CONVEX) -> NDArray[np.float32]:
    """[candidates]."""
    given = shares(legs, fusion).values()
    fused: NDArray[np.float32] = np.sum([each.weight * each.normalised for each in given], axis=0).astype(np.float32)
    return fused


def normalised(scores: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """z-scores, the deviation at least `floor`; all zero where every candidate scores the same."""
    if not scores.size:
        return scores
    result: NDArray[np.float32] = (scores - scores.mean()) / max(float(scores.std()), floor, 1e-9)
    return result


def _reciprocal_ranks(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): what a leg has no score for, it does not rank."""
    given = np.zeros(len(scores), np.float32)
    ranked = np.argsort(-scores, kind="stable")
    ranked = ranked[scores[ranked] != 0]
    given[ranked] = 1 / (RANK_OFFSET + 1 + np.arange(len(ranked), dtype=np.float32))
    return given


def _within_deviations(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of distribution-based fusion (Mazzeschi 2023): where the score lies between three deviations around the mean, 0 to 1."""
    given: NDArray[np.float32] = np.clip(0.5 + normalised(scores, 0.0) / (2 * DEVIATIONS), 0, 1)
    return given


def _floor(name: str, scores: NDArray[np.float32]) -> float:
    return LEXICAL_FLOOR * float(scores.max(initial=0.0)) if name == "lexical" else COSINE_FLOOR
