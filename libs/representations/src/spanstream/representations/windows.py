"""Overlapping windows over a text that is longer than the model reads at once: late chunking.

The text is cut into stretches at sentence borders (a sentence longer than a window: between tokens). A window reads its
stretch and half of the overlap on either side, so each token counts once: from the window whose stretch it lies in, the
one where it is farther from an edge. A sentence that fits is thus pooled from one window only.

Which border cuts depends on the few tokens that follow it, not on where the text began: after an edit the cuts fall in
with the old ones again (content-defined chunking: Muthitacharoen et al., A Low-bandwidth Network File System, 2001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OVERLAP = 64  # tokens that two neighbours share, where a release does not say otherwise
_LOOK_AHEAD = 4  # tokens that decide a border's rank
# A stretch is at least this share of the longest. On 40,000 tokens with a border every 20, windows of 254 and one
# insertion: 1/2 reads 1.45 times the text and 3 windows change; 2/3 1.40 and 7; 3/4 1.38 and 14; the last border in
# reach, which looks for no rank, 1.34 and all that follow.
_LEAST = 2 / 3


class Window(NamedTuple):
    """Tokens read, `start` to `end`, and tokens counted, `first` to `last`: indices into the text's tokens, half-open."""

    start: int
    end: int
    first: int
    last: int


def windows(ids: NDArray[np.int32], borders: NDArray[np.int32], size: int, overlap: int = OVERLAP) -> list[Window]:
    """Windows of at most `size` tokens over the tokens `ids` [n]; `borders` [m], rising: tokens that open a sentence.

    Two neighbours share `overlap` tokens, at most a half of `size`.
    """
    count = len(ids)
    if count <= size:
        return [Window(0, count, 0, count)]
    half = max(1, min(overlap // 2, size // 4))
    ranks = _ranks(ids)
    result = []
    first = 0
    while first < count:
        before = min(half, first)
        if count - first <= size - before:
            last = count
        else:
            longest = size - before - half
            last = _cut(first + int(longest * _LEAST), first + longest, borders, ranks)
        result.append(Window(first - before, min(last + half, count), first, last))
        first = last
    return result


def _cut(low: int, high: int, borders: NDArray[np.int32], ranks: NDArray[np.uint64]) -> int:
    """The border of lowest rank in (low, high], the later of equals; any token may be one where there is no border."""
    near = borders[np.searchsorted(borders, low, side="right") : np.searchsorted(borders, high, side="right")]
    candidates = near if len(near) else np.arange(low + 1, high + 1)
    return int(candidates[::-1][np.argmin(ranks[candidates[::-1]])])


def _ranks(ids: NDArray[np.int32]) -> NDArray[np.uint64]:
    """[n] a hash of each token and the next `_LOOK_AHEAD` - 1."""
    padded = np.concatenate([ids, np.zeros(_LOOK_AHEAD, ids.dtype)]).astype(np.uint64)
    mixed = np.zeros(len(ids), np.uint64)
    for i in range(_LOOK_AHEAD):
        mixed = (mixed ^ padded[i : i + len(ids)]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
