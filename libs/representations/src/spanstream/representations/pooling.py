"""From token states to vectors: the sums over all pieces of a batch are one matrix product, however many they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded
from spanstream.representations.rows import Plan

_SLAB = 1024  # pieces of a row at once: bounds the memory where someone asks for very many ranges


def piece_sums(states: torch.Tensor, pieces: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
    """Per row of `states` [rows, length, dimension] the sums [p, dimension] over its pieces [p, 3] (target, first, last).

    Summed in float32 whatever the states are: a row is short. (Running sums, the other way to have all means at once,
    took a hundred times as long as this product on a batch of 2,048 tokens.)
    """
    most = max(map(len, pieces))
    bounds = np.zeros((len(pieces), most, 2), np.int32)
    for i, piece in enumerate(pieces):
        bounds[i, : len(piece)] = piece[:, 1:]
    edges = torch.from_numpy(bounds).to(states.device)
    position = torch.arange(states.shape[1], device=states.device)
    full = states.float()
    sums = np.empty((len(pieces), most, states.shape[2]), np.float32)
    for at in range(0, most, _SLAB):
        part = slice(at, at + _SLAB)
        inside = (position >= edges[:, part, :1]) & (position < edges[:, part, 1:])
        sums[:, part] = torch.bmm(inside.float(), full).cpu().numpy()
    return [row[: len(piece)] for row, piece in zip(sums, pieces, strict=True)]


class Pool:
    """The sums of one text's ranges and whole, gathered row by row in float64; a mean's direction is its sum's."""

    def __init__(self, plan: Plan, dimension: int) -> None:
        self._plan = plan
        self._sums = np.zeros((len(plan.tokens) + 1, dimension))

    def add(self, targets: NDArray[np.int32], sums: NDArray[np.float32]) -> None:
        """Add `sums` [p, dimension] to `targets` [p]."""
        np.add.at(self._sums, targets, sums)

    def result(self) -> Encoded:
        """The unit vectors; not finite where the model's states were not, which `check` finds."""
        self._sums[:-1][self._plan.like_whole] = self._sums[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            vectors = self._sums / np.linalg.norm(self._sums, axis=1, keepdims=True)
        unit = vectors.astype(np.float32)
        return Encoded(unit[-1], unit[:-1], self._plan.tokens)
