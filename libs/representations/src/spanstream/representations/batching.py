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
    placed = _first_fit(_longest_first(lengths), lengths, max(_SHARED, *lengths), len(lengths))
    return [placed[i] for i in range(len(lengths))]


def packed_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of texts in batches whose rows, filled by `packing`, have at most `budget` tokens; a longer text goes alone.

    The longest are together, and the holes behind them are filled with the shortest.
    """
    result: list[list[int]] = []
    left = _longest_first(lengths)
    while left:
        width = max(_SHARED, lengths[left[0]])
        placed = _first_fit(left, lengths, width, max(1, budget // width))
        result.append(list(placed))
        left = [i for i in left if i not in placed]
    return result


def _first_fit(order: Sequence[int], lengths: Sequence[int], width: int, most: int) -> dict[int, Place]:
    """Places in at most `most` rows of `width` tokens, for those of `order` that find room, in that order."""
    placed, filled = dict[int, Place](), list[int]()
    for i in order:
        row = next((row for row, used in enumerate(filled) if used + lengths[i] <= width), len(filled))
        if row == most:
            continue
        if row == len(filled):
            filled.append(0)
        placed[i] = Place(row, filled[row])
        filled[row] += lengths[i]
    return placed


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
