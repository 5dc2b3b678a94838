"""Fewer vectors for a passage: a span that says nearly what a span around it says needs none of its own. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def kept(offsets: NDArray[np.integer], vectors: NDArray[np.floating], similarity: float) -> NDArray[np.intp]:
    """Rising indices of the spans to keep, of `offsets` [spans, 2] half-open and unit `vectors` [spans, dimension].

    Greedy, longer spans first: a span goes if a kept one that contains it has a cosine of at least `similarity` to it.
    So a span within no other always stays, and what goes is never farther than that from what stays and holds it. (Token
    pooling, Clavié et al. 2024, averages near vectors instead; a mean has no offsets to show.)
    """
    order = np.lexsort((offsets[:, 0], offsets[:, 0] - offsets[:, 1]))
    starts, ends = offsets[order].T
    contains = (starts[:, None] <= starts) & (ends[:, None] >= ends)
    near = vectors[order] @ vectors[order].T >= similarity
    covers = np.triu(contains & near, 1)  # [i, j]: span i, the longer, could stand for span j
    stays = np.ones(len(order), np.bool_)
    for i in np.flatnonzero(covers.any(axis=1)):
        if stays[i]:
            stays[covers[i]] = False
    return np.sort(order[stays])
