"""Texts as tokens with exact offsets, whatever their length. Needs no model, only its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# Longer texts are tokenised piece by piece, which bounds the tokenizer's memory (about 150 bytes a token).
_SLAB_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a text without special ones: `ids` [n] int32, `offsets` [n, 2] int32, code points, half-open."""

    ids: NDArray[np.int32] = field(repr=False)
    offsets: NDArray[np.int32] = field(repr=False)


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
    """The tokens of each text."""
    slabs = [(i, start, text[start:end]) for i, text in enumerate(texts) for start, end in _slabs(text)]
    encodings = tokenizer.encode_batch([slab for _, _, slab in slabs], add_special_tokens=False)
    parts: list[list[Tokens]] = [[] for _ in texts]
    for (i, start, _), encoding in zip(slabs, encodings, strict=True):
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2) + np.int32(start)
        parts[i].append(Tokens(np.array(encoding.ids, np.int32), offsets))
    return [part[0] if len(part) == 1 else _joined(part) for part in parts]


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """The ids alone of each text's tokens [n], in about two thirds of the time."""
    slabs = [(i, text[start:end]) for i, text in enumerate(texts) for start, end in _slabs(text)]
    encodings = tokenizer.encode_batch_fast([slab for _, slab in slabs], add_special_tokens=False)
    parts: list[list[NDArray[np.int32]]] = [[] for _ in texts]
    for (i, _), encoding in zip(slabs, encodings, strict=True):
        parts[i].append(np.array(encoding.ids, np.int32))
    return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]


def _slabs(text: str) -> Iterator[tuple[int, int]]:
    """Character ranges that make up `text`, each cut before white space where there is any in its second half."""
    start = 0
    while len(text) - start > _SLAB_CHARACTERS:
        end = start + _SLAB_CHARACTERS
        space = max(
            text.rfind(" ", start + _SLAB_CHARACTERS // 2, end), text.rfind("\n", start + _SLAB_CHARACTERS // 2, end)
        )
        end = space if space > 0 else end
        yield start, end
        start = end
    yield start, len(text)


def _joined(parts: Sequence[Tokens]) -> Tokens:
    return Tokens(np.concatenate([part.ids for part in parts]), np.concatenate([part.offsets for part in parts]))
