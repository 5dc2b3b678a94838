"""Passages with scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Ranked = Sequence[tuple[str, float]]  # passage ids with scores


def falling(hits: Iterable[tuple[str, float]]) -> Ranked:
    """By falling score; equals stay in order."""
    return sorted(hits, key=lambda hit: -hit[1])


def named(ids: Sequence[str], scores: NDArray[np.float32]) -> Ranked:
    """The same, of ids and their scores [ids]."""
    return falling(zip(ids, scores.tolist(), strict=True))


def aligned(scores: Mapping[str, float], ids: Sequence[str]) -> NDArray[np.float32]:
    """[ids] of scores by id; 0 where there is none."""
    return np.array([scores.get(id, 0.0) for id in ids], np.float32)
