"""From token states to vectors: running sums, of which any mean is the difference of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded
from spanstream.representations.rows import Plan


def piece_sums(states: torch.Tensor, pieces: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float64]]:
    """Per row of `states` [rows, length, dimension] the sums [p, dimension] over its pieces [p, 3] (target, first, last).

    Accumulated in float64: in float32 the difference of two long running sums would lose the last digits.
    """
    rows, length, dimension = states.shape
    running = torch.zeros(rows, length + 1, dimension, dtype=torch.float64, device=states.device)
    torch.cumsum(states, dim=1, dtype=torch.float64, out=running[:, 1:])
    row = torch.from_numpy(np.repeat(np.arange(rows), [len(piece) for piece in pieces])).to(states.device)
    joined = torch.from_numpy(np.concatenate(pieces).astype(np.int64)).to(states.device)
    sums = (running[row, joined[:, 2]] - running[row, joined[:, 1]]).cpu().numpy()
    return np.split(sums, np.cumsum([len(piece) for piece in pieces])[:-1])


class Pool:
    """The sums of one text's ranges and whole, gathered row by row; a mean's direction is its sum's."""

    def __init__(self, plan: Plan, dimension: int) -> None:
        self._plan = plan
        self._sums = np.zeros((len(plan.tokens) + 1, dimension))

    def add(self, targets: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
        """Add `sums` [p, dimension] to `targets` [p]."""
        np.add.at(self._sums, targets, sums)

    def result(self) -> Encoded:
        """The unit vectors; not finite where the model's states were not, which `check` finds."""
        self._sums[:-1][self._plan.like_whole] = self._sums[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            vectors = self._sums / np.linalg.norm(self._sums, axis=1, keepdims=True)
        unit = vectors.astype(np.float32)
        return Encoded(unit[-1], unit[:-1], self._plan.tokens)
