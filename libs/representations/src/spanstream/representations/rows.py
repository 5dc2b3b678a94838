"""From a text to the rows that the model reads, and what of each row's states is summed into which vector.

A row is `special | context | text tokens of one window | special`. The rules, all of them in `plan`:

1. The context (a title) is read in every window, so that it colours all vectors.
2. A range pools its own tokens; the first `context_ranges` pool the context too, as the first window has it.
3. The whole of a text in one window pools everything, the special tokens and the context too: what
   sentence-transformers' `encode()` gives. The whole of a longer text pools its tokens, and the context once.
4. A range that covers all tokens of the text, or has none, has the whole's vector.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Text
from spanstream.encoder.ranges import token_ranges
from spanstream.representations.model import Model, Tokens
from spanstream.representations.windows import windows

# What a title may take of a window; a longer one is cut, since the text is what matters.
_CONTEXT_SHARE = 4


@dataclass(frozen=True, slots=True)
class Row:
    """What the model reads at once: `ids` [length] int32. `pieces` [p, 3] int32: add positions `first` to `last` to `target`."""

    ids: NDArray[np.int32] = field(repr=False)
    pieces: NDArray[np.int32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of one text: targets 0..n-1 are its ranges, n is the whole. `like_whole` [n] bool, `tokens` [n] int32."""

    rows: list[Row]
    tokens: NDArray[np.int32]
    like_whole: NDArray[np.bool_]


def plan(model: Model, text: Text, tokens: Tokens, context: Tokens) -> Plan:
    """How to encode `text`, whose tokens and context's tokens are given."""
    title = context.ids[: model.max_tokens // _CONTEXT_SHARE]
    before = np.concatenate([np.array(model.before, np.int32), title])
    after = np.array(model.after, np.int32)
    spans = token_ranges(tokens.offsets, text.ranges)
    counts = spans[:, 1] - spans[:, 0]
    like_whole = (counts == 0) | (counts == len(tokens.ids))
    whole = len(spans)
    size = model.max_tokens - len(before) - len(after)
    cuts = windows(tokens.ids, _borders(tokens, text.boundaries), size)
    rows = []
    for window in cuts:
        ids = np.concatenate([before, tokens.ids[window.start : window.end], after])
        shift = len(before) - window.start  # from a token of the text to a position of the row
        low = np.maximum(spans[:, 0], window.first)
        high = np.minimum(spans[:, 1], window.last)
        inside = np.flatnonzero((low < high) & ~like_whole)
        pieces = [np.stack([inside, low[inside] + shift, high[inside] + shift], axis=1)]
        if model.pooling == "cls":
            pieces.append(np.array([[whole, 0, 1]] if window.start == 0 else np.empty((0, 3))))
        elif len(cuts) == 1:
            pieces.append(np.array([[whole, 0, len(ids)]]))
        else:
            pieces.append(np.array([[whole, window.first + shift, window.last + shift]]))
            if window.start == 0 and len(title):
                pieces.append(np.array([[whole, len(model.before), len(before)]]))
        if window.start == 0 and len(title):
            titled = np.flatnonzero(~like_whole[: text.context_ranges])
            pieces.append(
                np.stack([titled, *(np.full_like(titled, at) for at in (len(model.before), len(before)))], axis=1)
            )
        rows.append(Row(ids, np.concatenate(pieces).astype(np.int32)))
    return Plan(rows, counts.astype(np.int32), like_whole)


def _borders(tokens: Tokens, boundaries: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """The tokens that stand at `boundaries`, rising."""
    if boundaries is None:
        return np.empty(0, np.int32)
    first = np.searchsorted(tokens.offsets[:, 0], boundaries, side="left")
    return np.unique(first[first < len(tokens.ids)]).astype(np.int32)
