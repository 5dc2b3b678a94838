"""Texts of any size and shape have finite unit vectors and exact offsets; the largest only in the long form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spanstream.encoder.encoder import Text
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import load
from tests.unit.representations.tiny import LINES, build


@pytest.mark.parametrize("shape", ["no tokens", "emoji", "one word", "megabytes"])
def test_any_text_has_vectors(tmp_path: Path, shape: str, long: bool) -> None:
    line = " ".join(LINES[:3]) + " "
    text = {
        "no tokens": "\u200b \n ",
        "emoji": "\U0001f600" * 100_000,
        "one word": "x" * 50_000,
        "megabytes": line * ((10_000_000 if long else 100_000) // len(line)),
    }[shape]
    starts = np.arange(0, len(text), max(1, len(line)), dtype=np.int32)
    ranges = np.stack([starts, np.minimum(starts + len(line), len(text))], axis=1).astype(np.int32)
    encoder = LocalEncoder(load(str(build(tmp_path / "tiny", "roberta", {"pooling_mode": "mean"}))), budget=16_384)
    (found,) = encoder.encode([Text(text, ranges, "A title", starts)])
    encoder.close()
    vectors = np.vstack([found.whole, found.ranges])
    assert len(found.ranges) == len(starts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    if shape == "megabytes":
        assert set(found.tokens[1:].tolist()) == {found.tokens[1]}  # each line has the same tokens, wherever it stands
