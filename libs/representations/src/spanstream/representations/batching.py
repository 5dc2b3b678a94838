"""Batches by token budget: rows of like length together, so that hardly anything is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Padding that is cheaper than one more call of the model: a call of 6 layers costs about as much as 64 tokens.
_FREE_PADDING = 64
_FILL = 0.95


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows, longest first, in batches of at most `budget` tokens, padding counted; a longer row goes alone.

    Each batch has real / padded >= 0.95, or at most `_FREE_PADDING` tokens of padding.
    """
    result: list[list[int]] = []
    batch: list[int] = []
    real = longest = 0
    for i in np.argsort(-np.asarray(lengths), kind="stable").tolist():
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
