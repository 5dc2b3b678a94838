"""A bridge finds the map there is, says how good it is where there is none, and refuses what is not for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.representations.bridge import Bridge, fit
from spanstream.representations.errors import TransformInvalid, TransformMismatch

Array = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def some(rows: int, dimension: int, seed: int = 1) -> Array:
    return unit(np.random.default_rng(seed).normal(size=(rows, dimension)) + 0.3)


def fitted(old: Array, new: Array) -> tuple[Bridge, dict[str, float]]:
    made, cosines = fit(old, new, source="old@1", target="new@2")
    return made, dict(cosines)


def test_a_rotation_is_found_from_few_texts_and_holds_for_others() -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(24, 24)))[0].astype(np.float32)
    old, others = some(40, 24), some(50, 24, seed=9)
    made, cosines = fitted(old, old @ turn)
    assert max(cosines, key=lambda name: cosines[name]) == "orthogonal"
    np.testing.assert_allclose(made.apply(others), others @ turn, atol=1e-4)
    assert (made.source, made.target, made.rows) == ("old@1", "new@2", 40)


def test_questions_rank_the_old_vectors_as_they_rank_carried_ones() -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(24, 12)))[0].T.astype(np.float32)
    made = Bridge(turn, np.full(24, 0.3, np.float32), "old@1", "new@2", 1)
    old, asked = some(50, 12), some(5, 24, seed=9)
    plain = asked @ (old @ turn + made.bias).T
    assert made.questions(asked).shape == (5, 12)
    np.testing.assert_allclose(np.linalg.norm(made.questions(asked), axis=1), 1, atol=1e-5)
    assert (np.argsort(made.questions(asked) @ old.T) == np.argsort(plain)).all()
    assert made.questions(asked[:0]).shape == (0, 12)
    with pytest.raises(TransformMismatch, match=r"questions of 24 dimensions, not of shape \[5, 12\]"):
        made.questions(old[:5])


def test_it_is_read_as_it_was_saved_however_it_lay_in_memory(tmp_path: Path) -> None:
    made = Bridge(some(24, 12).T, some(1, 24)[0], "old@1", "new@2", 1)
    made.save(tmp_path / "bridge")
    read = Bridge.load(tmp_path / "bridge")
    assert (read.weight == made.weight).all()
    assert (read.bias == made.bias).all()


@pytest.mark.parametrize("dimension", [12, 24, 30])
def test_what_is_no_rotation_is_mapped_better_by_an_affine_map(dimension: int) -> None:
    shape = np.random.default_rng(3).normal(size=(24, dimension)) * np.linspace(0.1, 3, 24)[:, None]
    old, others = some(600, 24), some(200, 24, seed=9)
    made, cosines = fitted(old, unit(old @ shape + 0.2))
    assert max(cosines, key=lambda name: cosines[name]).startswith("affine")
    kept = np.einsum("nd,nd->n", made.apply(others), unit(others @ shape + 0.2))
    assert kept.mean() > 0.97
    assert cosines["orthogonal"] < kept.mean()


def test_where_nothing_connects_them_the_cosines_say_so() -> None:
    new = unit(np.random.default_rng(8).normal(size=(400, 24)))
    _, cosines = fitted(some(400, 24), new)
    assert max(cosines.values()) < 0.3


def test_fewer_texts_than_dimensions_are_refused_with_the_number_needed() -> None:
    with pytest.raises(TransformInvalid, match="30 texts are too few for a bridge: at least 31 are needed"):
        fitted(some(30, 24), some(30, 12))


def test_vectors_that_are_all_the_same_are_refused() -> None:
    same = np.repeat(some(1, 24), 40, axis=0)
    with pytest.raises(TransformInvalid, match="all the same to the old encoder"):
        fitted(same, some(40, 24))
    _, cosines = fitted(some(40, 24), same)  # the other way round there is a map: to that one
    assert min(cosines.values()) == pytest.approx(1, abs=1e-3)


def test_it_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "bridge.safetensors"
    made, _ = fitted(some(60, 24), some(60, 12, seed=4))
    made.save(path)
    read = Bridge.load(path)
    np.testing.assert_array_equal(read.apply(some(5, 24)), made.apply(some(5, 24)))
    assert (read.source, read.target, read.rows) == ("old@1", "new@2", 60)
    for content in (b"", path.read_bytes()[:-8], path.read_bytes()[:8] + b"{}"):
        path.write_bytes(content)
        with pytest.raises(TransformInvalid, match="is no bridge, or is damaged"):
            Bridge.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_file_with_numbers_that_are_none_is_refused(tmp_path: Path, value: float) -> None:
    Bridge(np.full((4, 3), value, np.float32), np.zeros(3, np.float32), "a", "b", 9).save(tmp_path / "x")
    with pytest.raises(TransformInvalid, match="damaged"):
        Bridge.load(tmp_path / "x")


def test_vectors_of_another_dimension_are_refused() -> None:
    made, _ = fitted(some(60, 24), some(60, 12, seed=4))
    with pytest.raises(TransformMismatch, match="24 dimensions, not of shape"):
        made.apply(some(5, 12))
