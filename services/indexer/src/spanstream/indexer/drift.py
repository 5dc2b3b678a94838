"""Whether what comes now is like what the index holds: an encoder that was trained on the one may not tell the other apart.

    1 draw documents from the index
    2 read the vector of each one's first passage
    3 those accepted lately against the others: the squared distance of the means over the spread within
    4 over all: how unevenly passages turn up among the nearest ones of the others (hubness, Radovanović et al., 2010)

Nothing is kept between two looks: a restart forgets nothing, and several indexers say about the same.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from spanstream.runtime import metrics
from spanstream.store.sampling import drawn
from spanstream.store.store import Store

Array = NDArray[np.float32]
LATELY_DAYS = 7.0
SAMPLE = 2_000  # documents of one look: a tenth of a second, and 3 MB of vectors of 384 dimensions
LEAST = 50  # of either kind; of fewer nothing is said
NEIGHBOURS = 10


class Drift:
    """One look each call of `step`. Raises what the store does."""

    def __init__(self, store: Store, now_us: Callable[[], int], chance: Random) -> None:
        """`now_us`: microseconds since 1970."""
        self._store = store
        self._now_us = now_us
        self._chance = chance
        for gauge in (metrics.INDEXER_DRIFT, metrics.INDEXER_HUBNESS):
            gauge.set(np.nan)

    def step(self) -> None:
        """Look once, and set the gauges; they are NaN where there are too few documents to tell."""
        vectors, recent = self._drawn()
        both = min(int(recent.sum()), int((~recent).sum())) >= LEAST
        metrics.INDEXER_DRIFT.set(shift(vectors[~recent], vectors[recent]) if both else np.nan)
        metrics.INDEXER_HUBNESS.set(hubness(vectors) if len(vectors) >= LEAST else np.nan)

    def _drawn(self) -> tuple[Array, NDArray[np.bool_]]:
        """Vectors [n, dimension], and which are of documents accepted lately [n]."""
        heads = drawn(self._store, SAMPLE, self._chance)  # 1
        named = {head.passage_ids(0, 1)[0]: head for head in heads if head.passage_count}
        found = self._store.vectors(list(named))  # 2
        since = self._now_us() - LATELY_DAYS * 86_400e6
        recent = np.array([(named[id].accepted_at_us or named[id].indexed_at_us) >= since for id in found], bool)
        return np.array([each.dense for each in found.values()], np.float32), recent


def shift(before: Array, now: Array) -> float:
    """0: the means of both [n, d] are as far apart as chance puts them; 1: as far as their vectors lie from their mean.

    The squared distance of the means, less what it would be by chance, over the spread within (Hotelling's statistic
    with one variance for all directions).
    """
    means = [each.mean(axis=0, dtype=np.float64) for each in (before, now)]
    spreads = [
        float(np.square(each - mean).sum(axis=1).mean()) for each, mean in zip((before, now), means, strict=True)
    ]
    spread = (spreads[0] * len(before) + spreads[1] * len(now)) / (len(before) + len(now))
    by_chance = spreads[0] / len(before) + spreads[1] / len(now)
    apart = float(np.square(means[0] - means[1]).sum())
    return max(0.0, (apart - by_chance) / max(spread, 1e-12))


def hubness(vectors: Array, k: int = NEIGHBOURS) -> float:
    """The share of all places among the `k` nearest that the commonest hundredth of the vectors [n, d] takes; by chance
    a few hundredths.
    """
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argpartition(-similar, k, axis=1)[:, :k]
    often = np.sort(np.bincount(nearest.ravel(), minlength=len(vectors)))[::-1]
    return float(often[: max(1, len(vectors) // 100)].sum() / often.sum())
