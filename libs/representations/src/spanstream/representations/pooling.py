"""From token states to vectors: the sums over all pieces of a batch are one matrix product, however many they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded
from spanstream.representations.model import Model
from spanstream.representations.poolings import Pooling
from spanstream.representations.rows import Pieces, Plan

_SLAB = 1024  # pieces of a row at once: bounds the memory where someone asks for very many ranges


def pooled(model: Model, states: torch.Tensor, pieces: Sequence[Pieces]) -> list[NDArray[np.float32]]:
    """Per row of `states` [rows, length, width] what each of its pieces adds [p, width]: a weighted sum, or a maximum."""
    if model.pooling is Pooling.MAX:
        return [_maxima(row, piece) for row, piece in zip(states, pieces, strict=True)]
    return _sums(states, pieces, weighted=model.weighted)


def _sums(states: torch.Tensor, pieces: Sequence[Pieces], *, weighted: bool) -> list[NDArray[np.float32]]:
    """Summed in float32 whatever the states are: a row is short. (Running sums, the other way to have all means at once,
    took a hundred times as long as this product on a batch of 2,048 tokens.)
    """
    most = max(len(piece.targets) for piece in pieces)
    edges = _padded([piece.bounds for piece in pieces], most).to(states.device)
    weights = _padded([piece.weights for piece in pieces], most).to(states.device) if weighted else None
    position = torch.arange(states.shape[1], device=states.device)
    full = states.float()
    sums = np.empty((len(pieces), most, states.shape[2]), np.float32)
    for at in range(0, most, _SLAB):
        part = slice(at, at + _SLAB)
        first, last = edges[:, part, :1], edges[:, part, 1:]
        inside = ((position >= first) & (position < last)).float()
        if weights is not None:
            inside *= weights[:, part, :1] + weights[:, part, 1:] * (position - first)
        sums[:, part] = torch.bmm(inside, full).cpu().numpy()
    return [row[: len(piece.targets)] for row, piece in zip(sums, pieces, strict=True)]


def _padded(columns: Sequence[NDArray[Any]], most: int) -> torch.Tensor:
    """[rows, most, 2] of each row's [p, 2], with zeros below."""
    whole = np.zeros((len(columns), most, 2), columns[0].dtype)
    for i, column in enumerate(columns):
        whole[i, : len(column)] = column
    return torch.from_numpy(whole)


def _maxima(states: torch.Tensor, piece: Pieces) -> NDArray[np.float32]:
    """[length, width] -> [p, width]."""
    if not len(piece.targets):
        return np.empty((0, states.shape[1]), np.float32)
    found = [states[first:last].amax(dim=0) for first, last in piece.bounds.tolist()]
    return torch.stack(found).float().cpu().numpy()


class Pool:
    """What one text's ranges and whole have gathered, row by row, in float64."""

    def __init__(self, model: Model, plan: Plan) -> None:
        self._model = model
        self._plan = plan
        self._maximal = model.pooling is Pooling.MAX
        self._gathered = np.full((len(plan.tokens) + 1, model.width), -np.inf if self._maximal else 0.0)
        self._weights = np.zeros(len(plan.tokens) + 1)

    def add(self, pieces: Pieces, added: NDArray[np.float32]) -> None:
        """Add what `pooled` made of `pieces` [p, width]."""
        if self._maximal:
            np.maximum.at(self._gathered, pieces.targets, added)
            return
        np.add.at(self._gathered, pieces.targets, added)
        count = (pieces.bounds[:, 1] - pieces.bounds[:, 0]).astype(np.float64)
        first, step = pieces.weights[:, 0], pieces.weights[:, 1]
        np.add.at(self._weights, pieces.targets, count * first + step * count * (count - 1) / 2)

    def result(self) -> Encoded:
        """The unit vectors; not finite where the model's states were not, which `check` finds."""
        vectors = self._gathered
        vectors[:-1][self._plan.like_whole] = vectors[-1]
        self._weights[:-1][self._plan.like_whole] = self._weights[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self._maximal:
                power = 0.5 if self._model.pooling is Pooling.MEAN_SQRT_LEN else 1.0
                vectors = vectors / self._weights[:, None] ** power
            for head in self._model.heads:
                vectors = head.apply(vectors)
            unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return Encoded(unit[-1], unit[:-1], self._plan.tokens)
