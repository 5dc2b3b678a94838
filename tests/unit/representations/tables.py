"""A static table small enough to reckon with."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from spanstream.representations.static import StaticTable

WORDS = ["[UNK]", "the", "wing", "stalls", "cat", "sleeps", ".", "aero", "nothing", "plus", "minus"]
DIMENSION = 8


def tiny_table() -> StaticTable:
    """Random rows; `nothing` has no direction, `minus` is the opposite of `plus`."""
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rows = np.random.default_rng(0).standard_normal((len(WORDS), DIMENSION)).astype(np.float16).astype(np.float32)
    rows[WORDS.index("nothing")] = 0
    rows[WORDS.index("minus")] = -rows[WORDS.index("plus")]
    return StaticTable("tiny", "teacher", "f" * 64, rows, np.eye(DIMENSION, dtype=np.float32)[3], tokenizer)
