"""Weights of a linear blend from judgements: pairwise logistic regression (RankNet, Burges et al. 2005, linear). Pure numpy."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.measures import ndcg

FOLDS = 5
# Of the pull towards 1, the weights that the ranking has: 0.01 to 1 differ by 0.2 points on development sets, and this one
# loses least where there is nothing to learn.
STRENGTH = 0.3
_STEPS = 50  # of Newton's method, which takes about ten
_ENOUGH = 1e-6


@dataclass(frozen=True, slots=True)
class Judged:
    """A query's hits: their ids, `parts` [hits, components], what each score is the sum of, and the documents' grades."""

    query: str
    ids: Sequence[str] = field(repr=False)
    parts: NDArray[np.float64] = field(repr=False)
    relevant: Mapping[str, float] = field(repr=False)

    def gain(self, weights: NDArray[np.float64]) -> float:
        """nDCG@10 in points of 100 of these hits in the order that the weights give them."""
        order = np.argsort(-(self.parts @ weights), kind="stable")
        return 100 * ndcg([self.ids[i] for i in order], self.relevant)


def fit(sets: Sequence[Sequence[Judged]], components: int) -> NDArray[np.float64]:
    """[components]: a hit judged better is to score higher. Queries of a set count alike, and so do sets."""
    pairs, shares = [np.zeros((0, components))], [np.zeros(0)]
    for judged in sets:
        found = [_pairs(each) for each in judged]
        told = [each for each in found if len(each)]
        pairs += told
        shares += [np.full(len(each), 1 / (len(each) * len(told) * len(sets))) for each in told]
    differences, share = np.concatenate(pairs), np.concatenate(shares)
    weights = np.ones(components)
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(differences @ weights, -60, 60)))
        gradient = STRENGTH * (weights - 1) - (share * wrong) @ differences
        curvature = (differences * (share * wrong * (1 - wrong))[:, None]).T @ differences + STRENGTH * np.eye(
            components
        )
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < _ENOUGH:
            break
    return weights


def cross_validated(sets: Sequence[Sequence[Judged]], components: int) -> list[NDArray[np.float64]]:
    """Of each set, query by query, the gain of weights that were fitted without its fold, less that of equal weights."""
    gains = [np.zeros(len(judged)) for judged in sets]
    for fold in range(FOLDS):
        weights = fit([[each for each in judged if _fold(each) != fold] for judged in sets], components)
        for judged, gain in zip(sets, gains, strict=True):
            for number, each in enumerate(judged):
                if _fold(each) == fold:
                    gain[number] = each.gain(weights) - each.gain(np.ones(components))
    return gains


def _fold(judged: Judged) -> int:
    """By the query alone, so that it stays where it is when others come."""
    return zlib.crc32(judged.query.encode()) % FOLDS


def _pairs(judged: Judged) -> NDArray[np.float64]:
    """[pairs, components]: each better hit less each worse one."""
    grades = np.array([judged.relevant.get(id, 0.0) for id in judged.ids])
    better, worse = np.nonzero(grades[:, None] > grades[None, :])
    return judged.parts[better] - judged.parts[worse]
