"""From a text to the rows that the model reads, and what of each row's states is pooled into which vector.

A row is `special | prompt | context | text tokens of one window | special`. The rules, all of them in `plan`:

1. The prompt and the context (a title) are read in every window, so that they colour all vectors.
2. A range pools its own tokens; the first `context_ranges` pool the context too, as the first window has it.
3. The whole of a text in one window pools everything, the special tokens, the prompt and the context too: what
   sentence-transformers' `encode()` gives; without `include_prompt` not the prompt and what stands before it. The whole
   of a longer text pools its tokens, and the context once.
4. A range that covers all tokens of the text, or has none, has the whole's vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Text
from spanstream.encoder.ranges import token_ranges
from spanstream.representations.model import Model, Read
from spanstream.representations.poolings import Operator, Pooling
from spanstream.representations.tokens import Tokens
from spanstream.representations.windows import Window, windows

# What a title may take of a window; a longer one is cut, since the text is what matters.
_CONTEXT_SHARE = 4
_LANDMARK_TOKENS = 16  # between two landmarks at least, so that they take a seventeenth of a window at most

Int = NDArray[np.int32]
Float = NDArray[np.float32]


class Pieces(NamedTuple):
    """Positions `bounds` [p, 2] of a row, half-open, that are added to `targets` [p].

    The first position weighs `weights[:, 0]`, each further one `weights[:, 1]` more than the one before.
    """

    targets: Int
    bounds: Int
    weights: Float


@dataclass(frozen=True, slots=True)
class Row:
    """What the model reads at once: `ids` [length] int32, and the pieces of its states."""

    ids: Int = field(repr=False)
    pieces: Pieces = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of one text: targets 0..n-1 are its ranges, n is the whole. `like_whole` [n] bool, `tokens` [n] int32."""

    rows: list[Row]
    tokens: Int
    like_whole: NDArray[np.bool_]


def plan(model: Model, text: Text, read: Read) -> Plan:
    """How to encode `text`, of which `read` are the tokens."""
    title = read.context[: model.max_tokens // _CONTEXT_SHARE]
    prompted = len(model.before) + len(read.prompt)
    before = np.concatenate([np.array(model.before, np.int32), read.prompt, title])
    after = np.array(model.after, np.int32)
    spans = token_ranges(read.tokens.offsets, text.ranges)
    counts = spans[:, 1] - spans[:, 0]
    like_whole = (counts == 0) | (counts == len(read.tokens.ids))
    borders = _borders(read.tokens, text.boundaries)
    marked = model.pooling is Pooling.LANDMARK
    size = model.max_tokens - len(before) - len(after)
    cuts = windows(read.tokens.ids, borders, _landmarked(size) if marked else size, model.overlap)
    marks = _landmarks(borders, cuts) if marked else np.empty(0, np.int32)
    rows = []
    for window in cuts:
        here = marks[(marks > window.start) & (marks <= window.end)]
        inner, positions = _inserted(read.tokens.ids, window, here, model.landmark)
        ids = np.concatenate([before, inner, after])
        at = _At(window, positions + len(before), here)
        pieces = [_pieces([], 0, 0), *_of_ranges(model, spans, ~like_whole, text.context_ranges, marks, at)]
        pieces += _of_whole(model, len(spans), prompted, at, ids, single=len(cuts) == 1)
        if window.start == 0 and len(title) and model.pooling not in (Pooling.LASTTOKEN, Pooling.LANDMARK):
            titled = np.flatnonzero(~like_whole[: text.context_ranges])
            if len(cuts) > 1 and model.pooling is not Pooling.CLS:
                titled = np.append(titled, len(spans))
            pieces.append(_pieces(titled, prompted, len(before)))
        rows.append(Row(ids, Pieces(*(np.concatenate(part) for part in zip(*pieces, strict=True)))))
    return Plan(rows, counts.astype(np.int32), like_whole)


class _At(NamedTuple):
    """A window, the row's position of each of its tokens [end - start], and the landmarks in it (behind which token)."""

    window: Window
    positions: Int
    marks: Int

    def of(self, tokens: Int) -> Int:
        """Positions of tokens of the text."""
        return self.positions[tokens - self.window.start]

    def of_marks(self, after: Int) -> Int:
        """Positions of the landmarks behind these numbers of tokens."""
        return self.of(after - 1) + 1


def _of_whole(model: Model, target: int, prompted: int, at: _At, ids: Int, *, single: bool) -> list[Pieces]:
    window, rising = at.window, float(model.pooling is Pooling.WEIGHTEDMEAN)
    if model.pooling is Pooling.CLS:
        return [_pieces([target], 0, 1)] if window.start == 0 else []
    if model.pooling is Pooling.LASTTOKEN:
        final = window.last == window.end  # the others read on beyond what they count
        return [_pieces([target], len(ids) - 1, len(ids))] if final else []
    if model.pooling is Pooling.LANDMARK and len(at.positions):  # else there is no token to put one behind
        own = at.of_marks(at.marks[(at.marks > window.first) & (at.marks <= window.last)])
        return [_pieces(np.full_like(own, target), own, own + 1)]
    if single:
        first = 0 if model.include_prompt or prompted == len(model.before) else prompted
        return [_pieces([target], first, len(ids), 1 + first * rising, rising)]
    low, high = at.of(np.array([window.first, window.last - 1]))
    return [_pieces([target], low, high + 1, 1 + window.first * rising, rising)]


def _of_ranges(
    model: Model, spans: Int, pooled: NDArray[np.bool_], context_ranges: int, marks: Int, at: _At
) -> list[Pieces]:
    low = np.maximum(spans[:, 0], at.window.first)
    high = np.minimum(spans[:, 1], at.window.last)
    inside = (low < high) & pooled
    if not inside.any():
        return []
    ends = np.zeros_like(inside)
    if model.operator is not Operator.POOLING:
        ends[context_ranges:] = inside[context_ranges:]
    pieces = []
    if model.pooling is Pooling.LANDMARK:
        reach = np.searchsorted(marks, spans, side="right")
        holding = inside & ~ends & (reach[:, 0] < reach[:, 1])
        for i in np.flatnonzero(holding):
            own = at.of_marks(at.marks[(at.marks > low[i]) & (at.marks <= high[i])])
            pieces.append(_pieces(np.full_like(own, i), own, own + 1))
        inside = inside & ~holding
    whole = np.flatnonzero(inside & ~ends)
    if model.pooling is Pooling.LASTTOKEN:
        whole = whole[spans[whole, 1] == high[whole]]
        pieces.append(_pieces(whole, at.of(high[whole] - 1), at.of(high[whole] - 1) + 1))
    else:
        rising = float(model.pooling is Pooling.WEIGHTEDMEAN)
        seen = low[whole] - spans[whole, 0]
        pieces.append(_pieces(whole, at.of(low[whole]), at.of(high[whole] - 1) + 1, 1 + seen * rising, rising))
    if model.operator is not Operator.POOLING:
        opening = np.flatnonzero(ends & (low == spans[:, 0]))
        closing = np.flatnonzero(ends & (high == spans[:, 1]))
        pieces.append(_pieces(opening, at.of(low[opening]), at.of(low[opening]) + 1, 0.5))
        pieces.append(_pieces(closing, at.of(high[closing] - 1), at.of(high[closing] - 1) + 1, 0.5))
    if model.operator is Operator.MEAN_ENDS:
        both = np.flatnonzero(ends)
        share = 1 / (spans[both, 1] - spans[both, 0])
        pieces.append(_pieces(both, at.of(low[both]), at.of(high[both] - 1) + 1, share))
    return pieces


def _pieces(
    targets: Sequence[int] | NDArray[Any],
    first: int | Int,
    last: int | Int,
    weight: float | NDArray[np.float64] = 1.0,
    step: float = 0.0,
) -> Pieces:
    count = len(targets)
    bounds, weights = np.empty((count, 2), np.int32), np.empty((count, 2), np.float32)
    bounds[:, 0], bounds[:, 1] = first, last
    weights[:, 0], weights[:, 1] = weight, step
    return Pieces(np.asarray(targets, np.int32), bounds, weights)


def _landmarked(size: int) -> int:
    """Tokens of a window that leave room for its landmarks."""
    return (size - 1) * _LANDMARK_TOKENS // (_LANDMARK_TOKENS + 1)


def _landmarks(borders: Int, cuts: Sequence[Window]) -> Int:
    """Numbers of tokens behind which a landmark stands, rising: sentence borders, not too near, and each window's end."""
    kept, before = [], 0
    for border in borders.tolist():
        if border - before >= _LANDMARK_TOKENS:
            kept.append(border)
            before = border
    return np.unique([*kept, *(window.last for window in cuts)]).astype(np.int32)


def _inserted(ids: Int, window: Window, marks: Int, landmark: int) -> tuple[Int, Int]:
    """The window's ids with a landmark behind each of `marks`, and the position of each token among them."""
    own = ids[window.start : window.end]
    positions = np.arange(len(own), dtype=np.int32)
    if not len(marks):
        return own, positions
    behind = marks - window.start
    return np.insert(own, behind, landmark), positions + np.searchsorted(behind, positions, side="right").astype(
        np.int32
    )


def _borders(tokens: Tokens, boundaries: Int | None) -> Int:
    """The tokens that stand at `boundaries`, rising."""
    if boundaries is None:
        return np.empty(0, np.int32)
    first = np.searchsorted(tokens.offsets[:, 0], boundaries, side="left")
    return np.unique(first[first < len(tokens.ids)]).astype(np.int32)
