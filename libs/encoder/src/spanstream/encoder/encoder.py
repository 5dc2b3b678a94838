"""The encoder port: texts with character ranges in, one vector for the whole text and one per range out.

The port knows nothing of documents, passages or sentences: they are all ranges of a text. One forward pass per
window of text gives every vector, however many ranges are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.errors import EncoderRejected, InvalidVectors

# What an index keeps of the vectors in memory, by the names that the store's Compression has; the first is all of them.
PRECISIONS = ("none", "scalar", "turbo8", "turbo4", "turbo2", "turbo1", "binary")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to encode. `ranges` [n, 2] int32: character offsets into `text`, half-open, in any order, may nest.

    A character is a Unicode code point; a lone surrogate is refused.

    `context` (a title, say) is read before the text, so that it colours the vectors; the first `context_ranges` ranges
    pool its own tokens too (passages do, sentences do not). `boundaries` [m] int32, rising: offsets at which a long text is best cut into windows.
    """

    text: str = field(repr=False)
    ranges: NDArray[np.int32] = field(repr=False)
    context: str = field(default="", repr=False)
    boundaries: NDArray[np.int32] | None = field(default=None, repr=False)
    context_ranges: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """Unit vectors of one text: `whole` [dimension] and `ranges` [n, dimension], both float32; `tokens` [n] int32.

    A range without any token has the whole text's vector and 0 tokens.
    """

    whole: NDArray[np.float32] = field(repr=False)
    ranges: NDArray[np.float32] = field(repr=False)
    tokens: NDArray[np.int32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """What makes vectors comparable: equal `release` and `dimension`. `precision` is for the index, the rest for people."""

    release: str
    dimension: int
    max_tokens: int  # of one window
    dtype: str
    device: str
    precision: str = PRECISIONS[0]  # one of them; applications of an older version say none


class Encoder(Protocol):
    """Thread-safe: concurrent calls are queued or batched together."""

    def info(self) -> EncoderInfo:
        """Which encoder this is. May raise EncoderUnavailable."""
        ...

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """One result per text, in order. Raises EncoderUnavailable (or, of it, EncoderFailed), EncoderRejected or InvalidVectors.

        `query`: the texts are what someone searches for and waits for, so they go before those that are to be indexed.
        """
        ...

    def unready(self) -> list[str]:
        """Why it would not answer now, in words; nothing: it would."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


def refuse_malformed(texts: Sequence[Text]) -> None:
    """Raise EncoderRejected unless every range and boundary lies in its text and the text can be sent as UTF-8."""
    for text in texts:
        length = len(text.text)
        ranges, boundaries = text.ranges, text.boundaries
        if ranges.ndim != 2 or ranges.shape[1] != 2 or ranges.dtype != np.int32:
            raise EncoderRejected("ranges must be int32 [n, 2]")
        if ranges.size and (ranges.min() < 0 or ranges.max() > length or (ranges[:, 0] > ranges[:, 1]).any()):
            raise EncoderRejected("a range lies outside its text or ends before it starts")
        if not 0 <= text.context_ranges <= len(ranges):
            raise EncoderRejected("context_ranges must be 0 to the number of ranges")
        if boundaries is not None and boundaries.size:
            if boundaries.ndim != 1 or boundaries.dtype != np.int32:
                raise EncoderRejected("boundaries must be int32 [m]")
            if boundaries[0] < 0 or boundaries[-1] > length or (np.diff(boundaries) < 0).any():
                raise EncoderRejected("boundaries must rise and lie in their text")
        try:
            text.text.encode()
            text.context.encode()
        except UnicodeEncodeError as error:
            raise EncoderRejected("the text has a lone surrogate") from error


def check(texts: Sequence[Text], results: Sequence[Encoded], dimension: int) -> None:
    """Raise InvalidVectors unless every result has the right count, size, and finite unit vectors (to 1e-2)."""
    if len(results) != len(texts):
        raise InvalidVectors(f"asked for {len(texts)} texts, got {len(results)}")
    for text, result in zip(texts, results, strict=True):
        if result.whole.shape != (dimension,) or result.ranges.shape != (len(text.ranges), dimension):
            raise InvalidVectors(
                f"vectors of shape {result.whole.shape}, {result.ranges.shape}; dimension is {dimension}"
            )
        if not _unit(result.whole[None, :]) or not _unit(result.ranges):
            raise InvalidVectors("a vector is not finite or not of unit length")


def _unit(vectors: NDArray[np.float32]) -> bool:
    """Whether all of [n, dimension] are finite and of unit length; without a copy, there may be very many."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    return bool((np.abs(np.sqrt(squares) - 1) <= 1e-2).all())  # which nothing is that is not finite
