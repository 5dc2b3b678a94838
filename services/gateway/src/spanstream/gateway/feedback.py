"""A second question out of the first one's best answers, without judgements: pseudo-relevance feedback. Pure numpy.

The vector moves towards theirs (Rocchio 1971); the terms get their most telling ones beside them (relevance model 3,
Abdul-Jaleel et al. 2004). Both questions count alike, so that an answer is lost to neither. What each number is worth:
docs/decisions/0011-feedback-and-neighbours.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway.asking import Asked
from spanstream.gateway.pool import Pool
from spanstream.store.points import Sparse

ANSWERS = 6  # that are taken for right; a quarter of the pool where that is smaller
PULL = 0.5  # of their mean vector, beside the question's own
TERMS = 15  # of theirs, which weigh as much together as the question's own
TEMPERATURE = 1 / 3  # of the scores, which say how much each answer counts: deviations of the candidates' scores


def second(first: Asked, pool: Pool, scores: NDArray[np.float32]) -> Asked | None:
    """The second question, from the first one, which has a vector, and the fused `scores` [n] of the pool, falling.

    None where there are too few candidates to tell the best from the rest. A question without terms gets none.
    """
    count = min(ANSWERS, len(scores) // 4)
    if not count or first.vector is None:
        return None
    trust = np.exp((scores[:count] - scores[0]) / TEMPERATURE)
    trust /= trust.sum()
    meaning = first.vector + PULL * _unit(trust @ pool.dense[:count])
    return Asked(_unit(meaning), _expanded(first.terms, pool, trust))


def _expanded(terms: Sparse, pool: Pool, trust: NDArray[np.float32]) -> Sparse:
    if not len(terms.indices):
        return terms
    weights = trust @ pool.weights[: len(trust)]
    best = np.argsort(-weights * pool.rarity, kind="stable")[:TERMS]
    best = best[weights[best] > 0]
    told = weights[best] * (terms.values.sum() / max(float(weights[best].sum()), 1e-9))
    indices, places = np.unique(np.concatenate([terms.indices, pool.terms[best]]), return_inverse=True)
    values = np.zeros(len(indices), np.float32)
    np.add.at(values, places, np.concatenate([terms.values, told]))
    return Sparse(indices, values)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
    return unit
