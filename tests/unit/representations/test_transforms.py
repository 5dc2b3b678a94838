from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file

from spanstream.encoder.encoder import Encoded, Text, check
from spanstream.encoder.errors import InvalidVectors
from spanstream.representations.errors import TransformInvalid, TransformMismatch
from spanstream.representations.stages import Center, Truncate
from spanstream.representations.transforms import Chain, fit, parse_stages

ORIGIN = {"release": "a-model", "fingerprint": "f" * 64}
ALL: list[dict[str, Any]] = [
    {"type": "clip", "deviations": 4},
    {"type": "center"},
    {"type": "remove_components", "count": 2},
    {"type": "standardize"},
    {"type": "whiten", "shrinkage": 0.1},
    {"type": "pca", "dimension": 8},
    {"type": "truncate", "dimension": 5},
]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sample(rows: int = 400, dimension: int = 12, seed: int = 0, rank: int | None = None) -> np.ndarray:
    """Unit vectors around a common direction, with axes of different width; in a subspace of `rank` before the shift."""
    generator = np.random.default_rng(seed)
    narrow = generator.normal(size=(rows, rank or dimension)) * np.linspace(1, 0.2, rank or dimension)
    turned = narrow @ generator.normal(size=(rank or dimension, dimension))
    return unit(turned + np.full(dimension, 2.0)).astype(np.float32)


def fitted(entries: list[dict[str, Any]], vectors: np.ndarray) -> Chain:
    return fit(parse_stages(entries), vectors, **ORIGIN)


def staged(chain: Chain, vectors: np.ndarray) -> np.ndarray:
    """What the stages leave, before it is made of unit length."""
    for stage in chain.stages:
        vectors = stage.apply(vectors)
    return vectors


def test_the_mean_of_the_sample_is_subtracted() -> None:
    vectors = sample()
    chain = fitted([{"type": "center"}], vectors)
    np.testing.assert_allclose(staged(chain, vectors).mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(chain.apply(vectors), unit(vectors - vectors.mean(axis=0)), atol=1e-6)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_the_covariance_of_the_whitened_sample_is_the_identity(method: str) -> None:
    vectors = sample()
    chain = fitted([{"type": "whiten", "shrinkage": 0, "method": method}], vectors)
    white = staged(chain, vectors)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(12), atol=1e-3)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)


def test_zca_stays_nearest_and_has_the_cosines_of_pca() -> None:
    vectors = sample()
    zca, pca = (fitted([{"type": "whiten", "method": method}], vectors) for method in ("zca", "pca"))
    np.testing.assert_allclose(
        zca.apply(vectors) @ zca.apply(vectors).T, pca.apply(vectors) @ pca.apply(vectors).T, atol=1e-4
    )
    np.testing.assert_allclose(zca.stages[0].matrix, zca.stages[0].matrix.T, atol=1e-5)


def test_full_shrinkage_only_centres() -> None:
    vectors = sample()
    shrunk = fitted([{"type": "whiten", "shrinkage": 1}], vectors)
    np.testing.assert_allclose(shrunk.apply(vectors), fitted([{"type": "center"}], vectors).apply(vectors), atol=1e-5)


def test_nothing_is_left_along_a_removed_component() -> None:
    vectors = sample()
    chain = fitted([{"type": "remove_components", "count": 3}], vectors)
    widest = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:3]
    left = chain.apply(vectors)
    assert np.abs(left @ widest.T).max() < 1e-6
    assert np.linalg.matrix_rank(staged(chain, vectors), tol=1e-3) == 9


def test_pca_keeps_the_widest_axes() -> None:
    vectors = sample()
    chain = fitted([{"type": "pca", "dimension": 4}], vectors)
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    kept = staged(chain, vectors)
    np.testing.assert_allclose(kept.var(axis=0), values[:4] ** 2 / len(vectors), rtol=1e-4)


def test_dimensions_are_standardized() -> None:
    vectors = sample()
    standard = staged(fitted([{"type": "standardize"}], vectors), vectors)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-5)


def test_an_outlier_dimension_is_clipped_and_the_others_are_not() -> None:
    vectors = np.random.default_rng(0).normal(size=(400, 64)).astype(np.float32)
    vectors[:, 7] += 50
    chain = fitted([{"type": "clip"}], vectors)
    clipped = staged(chain, vectors)
    limit = vectors.mean() + 3 * vectors.std()
    np.testing.assert_allclose(clipped[:, 7], limit, rtol=1e-5)
    others = np.arange(64) != 7
    np.testing.assert_array_equal(clipped[:, others], vectors[:, others])


def test_truncating_keeps_the_first_dimensions_and_needs_no_sample() -> None:
    vectors = sample()
    chain = fitted([{"type": "truncate", "dimension": 5}], vectors[:0])
    np.testing.assert_allclose(chain.apply(vectors), unit(vectors[:, :5]), atol=1e-6)
    assert chain.specs[0].fitted is None


def test_each_stage_is_fitted_on_what_those_before_it_leave() -> None:
    vectors = sample()
    together = fitted([{"type": "standardize"}, {"type": "pca", "dimension": 4}], vectors)
    first = fitted([{"type": "standardize"}], vectors)
    second = fitted([{"type": "pca", "dimension": 4}], staged(first, vectors))
    np.testing.assert_array_equal(together.stages[1].axes, second.stages[0].axes)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.sampled_from(ALL), max_size=4), st.integers(1, 50))
def test_rows_are_transformed_alone_as_in_a_batch(seed: int, entries: list[dict[str, Any]], size: int) -> None:
    vectors = sample(seed=seed)
    try:
        chain = fitted(entries, vectors)
    except TransformInvalid:  # a dimension that a stage before has cut off
        return
    batch = chain.apply(vectors[:size])
    assert batch.dtype == np.float32
    assert batch.shape == (size, chain.dimension(12))
    left = staged(chain, vectors[:size])
    alone = np.vstack([staged(chain, row[None]) for row in vectors[:size]])
    np.testing.assert_allclose(left, alone, atol=2e-5 * max(1.0, np.abs(left).max()))
    clear = (
        np.linalg.norm(left, axis=1) > 0.1
    )  # unit length makes the rounding of what is left larger, the less is left
    found = np.vstack([chain.apply(row[None]) for row in vectors[:size]])
    np.testing.assert_allclose(batch[clear], found[clear], atol=2e-4)
    lengths = np.linalg.norm(batch, axis=1)
    left = lengths > 0  # three times two components taken off five dimensions leave nothing
    np.testing.assert_allclose(lengths[left], 1, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 11), st.sampled_from([0, 0.01]), st.sampled_from([entry["type"] for entry in ALL]))
def test_a_sample_without_full_rank_is_safe(rank: int, shrinkage: float, kind: str) -> None:
    entry = next(entry for entry in ALL if entry["type"] == kind)
    chain = fitted([{**entry, "shrinkage": shrinkage} if kind == "whiten" else entry], sample(rank=rank))
    assert np.isfinite(chain.apply(sample(rank=rank))).all()
    assert np.isfinite(chain.apply(sample(seed=1))).all()


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry["type"])
def test_a_sample_of_equal_rows_is_safe(entry: dict[str, Any]) -> None:
    chain = fitted([entry], np.tile(sample(rows=1), (400, 1)))
    assert np.isfinite(chain.apply(sample())).all()


def test_a_vector_of_which_nothing_is_left_is_zero_and_never_stored() -> None:
    vectors = sample()
    chain = fitted([{"type": "center"}], vectors)
    mean = chain.stages[0].mean[None]
    left = chain.apply(np.vstack([mean, vectors[:1]]))
    np.testing.assert_array_equal(left[0], 0)
    assert np.linalg.norm(left[1]) == pytest.approx(1)
    none = np.empty((0, 2), np.int32)
    with pytest.raises(InvalidVectors):
        check([Text("a", none)], [Encoded(left[0], np.empty((0, 12), np.float32), np.empty(0, np.int32))], 12)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry["type"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_becomes_nan_and_touches_no_other_row(entry: dict[str, Any], value: float) -> None:
    chain = fitted([entry], sample())
    vectors = sample(rows=3)
    vectors[1, 11] = value
    result = chain.apply(vectors)
    assert np.isnan(result[1]).all()
    assert np.isfinite(result[[0, 2]]).all()


def test_no_vectors_give_no_vectors() -> None:
    chain = fitted(ALL, sample())
    assert chain.apply(np.empty((0, 12), np.float32)).shape == (0, 5)


def test_vectors_given_stay_as_they_are() -> None:
    vectors = sample()
    kept = vectors.copy()
    fitted(ALL, vectors).apply(vectors)
    fitted([], vectors).apply(vectors)
    np.testing.assert_array_equal(vectors, kept)


def test_vectors_of_another_dimension_are_refused() -> None:
    chain = fitted([{"type": "center"}], sample())
    with pytest.raises(TransformMismatch, match="12 dimensions, not 13"):
        chain.apply(sample(dimension=13))
    with pytest.raises(TransformMismatch):
        chain.dimension(384)


@pytest.mark.parametrize(
    ("entry", "needed"),
    [({"type": "center"}, 64), ({"type": "whiten"}, 800), ({"type": "pca", "dimension": 100}, 200)],
)
def test_too_small_a_sample_is_refused_and_the_needed_number_named(entry: dict[str, Any], needed: int) -> None:
    vectors = sample(rows=needed, dimension=400)
    fitted([entry], vectors)
    with pytest.raises(TransformInvalid, match=f"at least {needed} vectors, not {needed - 1}"):
        fitted([entry], vectors[1:])


@pytest.mark.parametrize(
    "entries",
    [
        [{"type": "pca", "dimension": 13}],
        [{"type": "truncate", "dimension": 13}],
        [{"type": "remove_components", "count": 12}],
        [{"type": "pca", "dimension": 4}, {"type": "truncate", "dimension": 5}],
    ],
)
def test_more_dimensions_than_there_are_is_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(TransformInvalid, match="at most"):
        fitted(entries, sample())


def test_a_sample_that_is_not_finite_is_refused() -> None:
    vectors = sample()
    vectors[0, 0] = np.nan
    with pytest.raises(TransformInvalid, match="finite"):
        fitted([{"type": "center"}], vectors)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"type": "center"}, "must be a list"),
        (["center"], r"transforms\[0\] must be a mapping with the key type: center, "),
        ([{}], "key type"),
        ([{"type": "center"}, {"type": "centre"}], r"transforms\[1\]: there is no type 'centre'; known are center, "),
        ([{"type": ["center"]}], "there is no type"),
        ([{"type": "pca", "dimensions": 3}], "no key 'dimensions'; allowed are type, dimension, fitted"),
        ([{"type": "pca"}], "needs the key dimension, a number of dimensions, 1 or more"),
        ([{"type": "pca", "dimension": 0}], "dimension of pca must be a number of dimensions, 1 or more, not 0"),
        ([{"type": "pca", "dimension": True}], "not True"),
        ([{"type": "pca", "dimension": 2.5}], "not 2.5"),
        ([{"type": "clip", "deviations": float("nan")}], "a number above 0"),
        ([{"type": "clip", "deviations": float("inf")}], "a number above 0"),
        ([{"type": "whiten", "shrinkage": 1.5}], "a number from 0 to 1"),
        ([{"type": "whiten", "method": "cholesky"}], "zca or pca"),
        ([{"type": "center", "fitted": "sha256:12"}], "64 hexadecimal digits"),
        ([{"type": "truncate", "dimension": 3, "fitted": "sha256:" + "0" * 64}], "no key 'fitted'"),
    ],
)
def test_a_wrong_description_is_refused_by_name(entries: object, named: str) -> None:
    with pytest.raises(TransformInvalid, match=named):
        parse_stages(entries)


def test_defaults_are_filled_in_and_entries_read_back() -> None:
    (spec,) = parse_stages([{"type": "whiten", "shrinkage": 0}])
    assert spec.parameters == {"shrinkage": 0.0, "method": "zca"}
    specs = fitted(ALL, sample()).specs
    assert parse_stages([each.entry() for each in specs]) == specs


def test_saving_and_loading_keeps_every_bit(tmp_path: Path) -> None:
    vectors = sample()
    chain = fitted(ALL, vectors)
    chain.save(tmp_path / "chain")
    found = Chain.load(tmp_path / "chain", specs=chain.specs, dimension=12, fingerprint="f" * 64)
    assert (found.version, found.release, found.fingerprint, found.rows) == (chain.version, "a-model", "f" * 64, 400)
    np.testing.assert_array_equal(found.apply(vectors), chain.apply(vectors))
    found.save(tmp_path / "again")
    fitted(ALL, vectors).save(tmp_path / "fitted again")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_chain_without_arrays_is_saved_too(tmp_path: Path) -> None:
    chain = fitted([{"type": "truncate", "dimension": 5}], sample())
    chain.save(tmp_path / "chain")
    assert Chain.load(tmp_path / "chain").version == chain.version


def test_the_version_is_the_same_on_every_platform() -> None:
    center = Center(np.array([0.5, -1, 3e-8], np.float32))
    chain = Chain((center, Truncate(2)), 3, "a-model", "f" * 64, 400)
    assert chain.version == "98001996cff8cf337c84dfbd2d22b1bde7969f2078a9e0ffd000aed4e917dfcc"
    swapped = Center(center.mean.astype(">f4"))
    assert Chain((swapped, Truncate(2)), 3, "a-model", "f" * 64, 400).version == chain.version


def test_the_version_changes_with_every_number() -> None:
    chain = fitted(ALL, sample())
    versions = {chain.version}
    changes = 0
    for number, stage in enumerate(chain.stages):
        for name in stage.ARRAYS:
            array = getattr(stage, name)
            for at in (0, array.size - 1):
                changed = array.copy()
                changed.flat[at] = np.nextafter(changed.flat[at], np.float32(9))
                versions.add(_with(chain, number, **{name: changed}).version)
                changes += 1
        for name, value in ((name, getattr(stage, name)) for name in stage.PARAMETERS):
            other = {"zca": "pca"}.get(value, value) if isinstance(value, str) else value + 1
            versions.add(_with(chain, number, **{name: other}).version)
            changes += 1
    turned = Chain(chain.stages[1::-1] + chain.stages[2:], 12, chain.release, chain.fingerprint, chain.rows)
    versions.add(turned.version)
    assert len(versions) == changes + 2


def _with(chain: Chain, number: int, **changes: Any) -> Chain:
    stage = chain.stages[number]
    fields = {name: getattr(stage, name) for name in (*stage.PARAMETERS, *stage.ARRAYS)} | changes
    stages = (*chain.stages[:number], type(stage)(**fields), *chain.stages[number + 1 :])
    return Chain(stages, chain.input_dimension, chain.release, chain.fingerprint, chain.rows)


def test_a_file_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    chain = fitted([{"type": "center"}, {"type": "pca", "dimension": 4}], sample())
    chain.save(path)
    with pytest.raises(TransformMismatch, match="12 dimensions, not 384; fit it for this model"):
        Chain.load(path, dimension=384)
    with pytest.raises(TransformMismatch, match="fitted on another model"):
        Chain.load(path, fingerprint="0" * 64)
    other = fitted([{"type": "center"}, {"type": "pca", "dimension": 4}], sample(seed=1)).specs
    for specs in (other, chain.specs[:1], parse_stages([{"type": "center"}, {"type": "pca", "dimension": 4}])):
        with pytest.raises(TransformMismatch, match=f"it holds .*{chain.version}"):
            Chain.load(path, specs=specs)


def _edited(path: Path, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["transforms"])
    arrays = load_file(path)
    edit(header, arrays)
    save_file(arrays, path, {"transforms": json.dumps(header)})


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda header, arrays: arrays["0.mean"].__setitem__(0, 3), "damaged"),
        (lambda header, arrays: header.update(version="0" * 64), "damaged"),
        (lambda header, arrays: header["stages"][1].update(dimension=3), "damaged"),
        (lambda header, arrays: header.update(dimension=13), "damaged"),
        (lambda header, arrays: header.update(dimension="12"), "dimension in its header is of the wrong type"),
        (lambda header, arrays: header.update(color="red"), "in excess: color"),
        (lambda header, arrays: header.pop("release"), "lacks or has in excess: release"),
        (lambda header, arrays: header.update(format=2), "has the format 2"),
        (lambda header, arrays: header["stages"][0].update(color="red"), "no key 'color'"),
        (lambda header, arrays: header["stages"][0].update(type="centre"), "no type 'centre'"),
        (lambda header, arrays: arrays.update(more=arrays["0.mean"]), "does not hold the arrays"),
        (lambda header, arrays: arrays.pop("1.axes"), "does not hold the arrays"),
        (lambda header, arrays: arrays.update({"0.mean": arrays["0.mean"].astype(np.float64)}), "not hold the arrays"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], None], named: str
) -> None:
    path = tmp_path / "chain"
    fitted([{"type": "center"}, {"type": "pca", "dimension": 4}], sample()).save(path)
    _edited(path, edit)
    with pytest.raises(TransformInvalid, match=named):
        Chain.load(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with pytest.raises(TransformInvalid, match="no file"):
        Chain.load(path)
    chain = fitted([{"type": "center"}], sample())
    chain.save(path)
    whole = path.read_bytes()
    nested = save({}, {"transforms": "[" * 100_000})
    for content in (b"", b"text", whole[:-1], whole[: len(whole) // 2], b"\xff" * 64, nested):
        path.write_bytes(content)
        with pytest.raises(TransformInvalid, match="no readable file"):
            Chain.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(TransformInvalid, match="not of fitted transforms"):
        Chain.load(path)
