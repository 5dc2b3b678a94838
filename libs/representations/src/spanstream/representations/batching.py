"""Batches by token budget, so that hardly anything is padding: rows of like length together, or several in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Padding that is cheaper than one more call of the model: a call of 6 layers costs about as much as 64 tokens.
_FREE_PADDING = 64
_FILL = 0.95
# Short texts share rows of this many tokens: attention over more would cost more than what padding they save.
_SHARED = 128


class Place(NamedTuple):
    """Where a text lies: from the position `start` of a `row`."""

    row: int
    start: int


def packing(lengths: Sequence[int]) -> list[Place]:
    """A place for each, in rows as wide as `packed_batches` counts on: first fit, longest first."""
    width = max(_SHARED, *lengths)
    places, filled = [Place(0, 0)] * len(lengths), list[int]()
    for i in _longest_first(lengths):
        row = next((row for row, used in enumerate(filled) if used + lengths[i] <= width), len(filled))
        if row == len(filled):
            filled.append(0)
        places[i] = Place(row, filled[row])
        filled[row] += lengths[i]
    return places


def packed_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of texts in batches whose rows, filled by `packing`, have at most `budget` tokens; a longer text goes alone.

    The longest are together, and the holes behind them are filled with the shortest.
    """
    result: list[list[int]] = []
    left = _longest_first(lengths)
    while left:
        width = max(_SHARED, lengths[left[0]])
        room = [width] * max(1, budget // width)
        batch, later = list[int](), list[int]()
        for i in left:
            row = next((row for row, free in enumerate(room) if free >= lengths[i]), None)
            if row is None:
                later.append(i)
            else:
                room[row] -= lengths[i]
                batch.append(i)
        result.append(batch)
        left = later
    return result


def _longest_first(lengths: Sequence[int]) -> list[int]:
    order: list[int] = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    return order


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows, longest first, in batches of at most `budget` tokens, padding counted; a longer row goes alone.

    Each batch has real / padded >= 0.95, or at most `_FREE_PADDING` tokens of padding.
    """
    result: list[list[int]] = []
    batch: list[int] = []
    real = longest = 0
    for i in _longest_first(lengths):
        length = lengths[i]
        padded = longest * (len(batch) + 1)
        wasted = padded - real - length
        if batch and (padded > budget or (wasted > _FREE_PADDING and wasted > (1 - _FILL) * padded)):
            result.append(batch)
            batch, real, longest = [], 0, 0
        if not batch:
            longest = length
        batch.append(i)
        real += length
    if batch:
        result.append(batch)
    return result
