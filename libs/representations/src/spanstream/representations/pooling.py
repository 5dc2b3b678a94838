"""From token states to vectors: the sums over all pieces of a batch are one matrix product, however many they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded
from spanstream.representations.batching import Place
from spanstream.representations.model import Model
from spanstream.representations.poolings import Pooling
from spanstream.representations.rows import Pieces, Plan

_SLAB = 1024  # pieces of a row, or vectors, at once: bounds the memory where someone asks for very many ranges


def pooled(
    model: Model, states: torch.Tensor, pieces: Sequence[Pieces], places: Sequence[Place]
) -> list[NDArray[np.float32]]:
    """Per text what each of its pieces adds [p, width]: a weighted sum, or a maximum. Text i lies in `states`
    [rows, length, width] at `places[i]`.
    """
    shared: list[list[int]] = [[] for _ in range(len(states))]  # texts by row
    for number, place in enumerate(places):
        shared[place.row].append(number)
    rows = [_joined([pieces[i] for i in held], [places[i].start for i in held]) for held in shared]
    if model.pooling is Pooling.MAX:
        found = [_maxima(row, piece) for row, piece in zip(states, rows, strict=True)]
    else:
        found = _sums(states, rows, weighted=model.weighted)
    result = [np.empty(0, np.float32)] * len(places)
    for held, made in zip(shared, found, strict=True):
        start = 0
        for number in held:
            end = start + len(pieces[number].targets)
            result[number], start = made[start:end], end
    return result


def _joined(pieces: Sequence[Pieces], starts: Sequence[int]) -> Pieces:
    """Of the texts of one row."""
    if len(pieces) == 1 and not starts[0]:
        return pieces[0]
    bounds = [piece.bounds + start for piece, start in zip(pieces, starts, strict=True)]
    targets, weights = ([getattr(piece, name) for piece in pieces] for name in ("targets", "weights"))
    return Pieces(np.concatenate(targets), np.concatenate(bounds), np.concatenate(weights))


def _sums(states: torch.Tensor, pieces: Sequence[Pieces], *, weighted: bool) -> list[NDArray[np.float32]]:
    """Summed in float32 whatever the states are: a row is short. (Running sums, the other way to have all means at once,
    took a hundred times as long as this product on a batch of 2,048 tokens.)
    """
    counts = [len(piece.targets) for piece in pieces]
    position = np.arange(states.shape[1], dtype=np.int32)
    full = states.float()
    sums = [np.empty((count, states.shape[2]), np.float32) for count in counts]
    for at in range(0, max(counts), _SLAB):
        rows = [row for row, count in enumerate(counts) if count > at]
        shares = np.zeros((len(rows), min(max(counts) - at, _SLAB), len(position)), np.float32)
        for share, row in zip(shares, rows, strict=True):
            part = slice(at, at + _SLAB)
            _share(share, pieces[row].bounds[part], pieces[row].weights[part] if weighted else None, position)
        found = torch.bmm(torch.from_numpy(shares).to(full.device), full if len(rows) == len(pieces) else full[rows])
        for row, part in zip(rows, found.cpu().numpy(), strict=True):
            sums[row][at : at + _SLAB] = part[: counts[row] - at]
    return sums


def _share(
    share: NDArray[np.float32],
    bounds: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    position: NDArray[np.int32],
) -> None:
    """What each position weighs in each piece of a row, into the first of `share` [p, length]."""
    first, last = bounds[:, :1], bounds[:, 1:]
    inside = (position >= first) & (position < last)
    share[: len(bounds)] = inside
    if weights is not None:
        share[: len(bounds)] *= weights[:, :1] + weights[:, 1:] * (position - first)


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
        gathered, weights = self._gathered, self._weights
        gathered[:-1][self._plan.like_whole] = gathered[-1]
        weights[:-1][self._plan.like_whole] = weights[-1]
        power = 0.5 if self._model.pooling is Pooling.MEAN_SQRT_LEN else 1.0
        unit = np.empty((len(gathered), self._model.dimension), np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            for at in range(0, len(gathered), _SLAB):
                part = slice(at, at + _SLAB)
                vectors = gathered[part] if self._maximal else gathered[part] / weights[part, None] ** power
                for head in self._model.heads:
                    vectors = head.apply(vectors)
                unit[part] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(unit[-1], unit[:-1], self._plan.tokens)
