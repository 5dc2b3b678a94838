"""A deterministic, instant encoder for tests: hashed bags of words, so that texts sharing words are near."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, EncoderInfo, Text, refuse_malformed
from spanstream.encoder.ranges import token_ranges

_WORD = re.compile(r"\w+")


class HashEncoder:
    """Words are the tokens; a vector is the normalised sum of its words' random signs. No model, no files, no threads."""

    def __init__(self, dimension: int = 64) -> None:
        self._info = EncoderInfo(f"hash-{dimension}", dimension, max_tokens=2**31 - 1, dtype="float32", device="cpu")
        self._signs = lru_cache(maxsize=65536)(lambda word: _signs(word, dimension))

    def info(self) -> EncoderInfo:
        """Release `hash-<dimension>`."""
        return self._info

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """One result per text, in order; raises EncoderRejected for malformed ranges. A query is like any other text."""
        refuse_malformed(texts)
        return [self._encode(text) for text in texts]

    def unready(self) -> list[str]:
        """Never."""
        return []

    def close(self) -> None:
        """Nothing to release."""

    def _encode(self, text: Text) -> Encoded:
        found = list(_WORD.finditer(text.text))
        offsets = np.array([match.span() for match in found], np.int32).reshape(-1, 2)
        spans = token_ranges(offsets, text.ranges)
        tokens = spans[:, 1] - spans[:, 0]
        running = np.zeros((len(found) + 1, self._info.dimension))
        if found:
            running[1:] = np.cumsum([self._signs(match[0].lower()) for match in found], axis=0)
        context = sum((self._signs(word.lower()) for word in _WORD.findall(text.context)), np.zeros(len(running[0])))
        # The constant keeps an empty text from having the zero vector.
        whole = running[-1] + context + 0.01 * self._signs("")
        ranges = running[spans[:, 1]] - running[spans[:, 0]] + 0.01 * self._signs("")
        ranges[: text.context_ranges] += context
        ranges[(tokens == 0) | (tokens == len(found))] = whole
        return Encoded(_unit(whole), _unit(ranges), tokens.astype(np.int32))


def _signs(word: str, dimension: int) -> NDArray[np.float64]:
    digest = hashlib.shake_128(word.encode()).digest((dimension + 7) // 8)
    return np.unpackbits(np.frombuffer(digest, np.uint8))[:dimension].astype(np.float64) * 2 - 1


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit.astype(np.float32)
