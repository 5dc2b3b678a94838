"""From character ranges to token ranges, without a loop over tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def token_ranges(offsets: NDArray[np.int32], ranges: NDArray[np.int32]) -> NDArray[np.int32]:
    """[n, 2] int32, half-open: the tokens that share a character with each of `ranges` [n, 2]; (i, i) where none does.

    `offsets` [tokens, 2] are the tokens' characters, starts and ends not falling.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    first = np.searchsorted(ends, ranges[:, 0], side="right")  # the first token that ends after the range starts
    last = np.searchsorted(starts, ranges[:, 1], side="left")  # the first token that starts at or after its end
    last = np.where(ranges[:, 0] < ranges[:, 1], np.maximum(first, last), first)
    return np.stack([first, last], axis=1).astype(np.int32)
