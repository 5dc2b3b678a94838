"""Whether a score means the same wherever it stands: how probable a hit is, read off its score (Platt, 1999; Guo et al., 2017)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.bootstrap import Interval, interval_of

BINS = 10  # of probabilities, equally wide
_STEPS = 50
_RIDGE = 1e-3  # keeps hits that a score tells apart perfectly from an endless slope


@dataclass(frozen=True, slots=True)
class Hits:
    """The cosines of each question's first hits [q, k], and which of them are relevant [q, k]."""

    scores: NDArray[np.float64] = field(repr=False)
    relevant: NDArray[np.bool_] = field(repr=False)


def fitted_on(texts: list[str]) -> NDArray[np.bool_]:
    """[q] which questions the probabilities are fitted on; a question stays where it is when others come."""
    return np.array([zlib.crc32(text.encode()) % 2 == 0 for text in texts], bool)


def calibration_error(a: Hits, b: Hits, fit: NDArray[np.bool_]) -> tuple[Interval, float, float, int] | None:
    """Expected calibration error (Naeini et al., 2015) in points of 100: of B less A with its interval over the questions
    that are not in `fit` [q], of A, of B, and the number of those questions. None where hits are all alike, or of too few.
    """
    sums = [_bins(each, fit) for each in (a, b)]
    if sums[0] is None or sums[1] is None:
        return None
    one, other = sums[0], sums[1]
    items = len(one[0])

    def error(told: tuple[NDArray[np.float64], int], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        gaps, hits = told
        found: NDArray[np.float64] = 100 * np.abs(counts @ gaps).sum(axis=1) / (counts.sum(axis=1) * hits)
        return found

    difference = interval_of(lambda counts: error(other, counts) - error(one, counts), items)
    once = np.ones((1, items))
    return difference, float(error(one, once)[0]), float(error(other, once)[0]), items


def _bins(hits: Hits, fit: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int] | None:
    """Of each question that was not fitted on, by bin, how many hits more than were expected [q, BINS]; and its hits."""
    learnt = hits.relevant[fit].ravel()
    if learnt.all() or not learnt.any() or fit.all():
        return None
    slope, shift = logistic(hits.scores[fit].ravel(), learnt)
    probable = 1 / (1 + np.exp(-np.clip(slope * hits.scores[~fit] + shift, -60, 60)))
    place = np.minimum((probable * BINS).astype(np.int64), BINS - 1)
    gap = hits.relevant[~fit] - probable
    return np.stack([(gap * (place == number)).sum(axis=1) for number in range(BINS)], axis=1), gap.shape[1]


def logistic(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift of the log-odds of a hit, by Newton's method; a little ridge on the slope of standardised scores."""
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    x = np.stack([(scores - middle) / spread, np.ones(len(scores))], axis=1)
    weights, ridge = np.zeros(2), np.diag([_RIDGE * len(scores), _RIDGE])
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(x @ weights, -60, 60)))
        gradient = x.T @ (hits - expected) - ridge @ weights
        step = np.linalg.solve((x * (expected * (1 - expected))[:, None]).T @ x + ridge, gradient)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    slope = float(weights[0]) / spread
    return slope, float(weights[1]) - slope * middle
