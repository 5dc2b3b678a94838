from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanstream.standalone.encoder import plot
from spanstream.standalone.encoder.diagnosis import MIN_CHARACTERS, PARTS, Diagnosis, diagnose, parts

WITHOUT_PARTS = np.empty((0, PARTS, 16), np.float32)


def unit(*shape: int, shift: float = 0.0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(5).normal(size=shape) + shift
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def diagnosed(vectors: NDArray[np.float32], pieces: NDArray[np.float32] = WITHOUT_PARTS) -> Diagnosis:
    return diagnose(vectors, np.arange(len(vectors)), np.arange(len(pieces)), pieces)


def test_parts_are_equal_cut_at_white_space_and_lose_nothing_else() -> None:
    text = " ".join(f"word{number:03d}" for number in range(200))
    found = parts(text)
    assert len(found) == PARTS
    assert " ".join(found) == text
    assert max(map(len, found)) - min(map(len, found)) < 20


def test_parts_of_text_without_spaces_and_of_short_text() -> None:
    assert "".join(parts("文" * MIN_CHARACTERS)) == "文" * MIN_CHARACTERS
    assert parts("short") == []
    assert parts("a" + " " * 2 * MIN_CHARACTERS + "b") == []


def test_what_is_wrong_is_called_unusual() -> None:
    good = {each.name: each.unusual for each in diagnosed(unit(400, 16)).measures}
    assert not good["mean cosine"]
    assert not good["uniformity"]
    bad = {each.name: each.unusual for each in diagnosed(unit(400, 16, shift=5)).measures}
    assert bad["mean cosine"]
    assert bad["uniformity"]


def test_a_text_whose_end_is_not_in_its_vector_has_a_position_bias() -> None:
    pieces = unit(30, PARTS, 16)
    whole = pieces[:, 0] + 0.1 * pieces[:, 2]
    found = diagnosed(whole / np.linalg.norm(whole, axis=1, keepdims=True), pieces)
    values = {each.name: each.value for each in found.measures}
    assert values["start"] > 0.9
    assert values["position bias"] > 0.5
    assert found.positions.shape == (30, PARTS)
    assert len(found.neighbouring) == 30 * (PARTS - 1)


def test_without_parts_what_needs_them_is_left_out() -> None:
    names = [each.name for each in diagnosed(unit(40, 16)).measures]
    assert "position bias" not in names
    assert "alignment" not in names


def test_every_diagnosis_can_be_drawn(tmp_path: Path) -> None:
    collapsed = np.repeat(unit(1, 16), 30, axis=0)
    for number, found in enumerate((diagnosed(collapsed), diagnosed(unit(30, 16), unit(30, PARTS, 16)))):
        plot.save(found, "title", tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")
        assert all(np.isfinite(each.value) for each in found.measures)
