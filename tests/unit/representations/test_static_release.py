"""A release file over a static table: honoured where a table can, refused by its key where it cannot."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from spanstream.encoder.encoder import Text
from spanstream.encoder.errors import InvalidVectors
from spanstream.representations.cache import WindowCache
from spanstream.representations.errors import ModelUnsupported, ReleaseInvalid, TransformMismatch
from spanstream.representations.local import open_local
from spanstream.representations.model import find, load, named
from spanstream.representations.poolings import Operator, Pooling
from spanstream.representations.release import Release
from spanstream.representations.static import StaticEncoder, StaticTable, save_static
from spanstream.representations.static_release import open_static
from spanstream.representations.transforms import Chain, fit, parse_stages
from tests.unit.representations.tables import DIMENSION, tiny_table

TEXT = Text("The wing stalls. A cat sleeps.", np.array([[0, 16], [17, 30], [4, 8]], np.int32), "Aero", None, 1)
NONE = np.empty((0, 2), np.int32)


@pytest.fixture
def table(tmp_path: Path) -> StaticTable:
    """Saved in the folder `table`."""
    made = tiny_table()
    save_static(made, tmp_path / "table")
    return made


def written(folder: Path, text: str = "") -> str:
    path = folder / "release.yaml"
    path.write_text(f"release: small-1\nmodel_name_or_path: table\n{text}")
    return str(path)


def fitted(table: StaticTable, path: Path, **stage: object) -> Chain:
    sample = np.random.default_rng(5).normal(size=(200, DIMENSION)).astype(np.float32)
    specs = parse_stages([{"type": "center"}, *([stage] if stage else [])])
    chain = fit(specs, sample, release="tiny", fingerprint=table.fingerprint)
    chain.save(path)
    return chain


def lines(chain: Chain) -> str:
    return f"transforms: {[spec.entry() for spec in chain.specs]}\ntransforms_file: fitted.safetensors\n"


def test_a_release_of_nothing_else_has_the_tables_vectors_under_its_own_name(
    table: StaticTable, tmp_path: Path
) -> None:
    encoder = open_local(written(tmp_path, "dtype: float32\nprompts: {query: '', document: ''}\nprecision: turbo4"))
    plain = open_local(str(tmp_path / "table"))
    assert encoder.info().release == f"small-1@{table.fingerprint[:8]}"
    assert plain.info().release == f"tiny@{table.fingerprint[:8]}"
    assert (encoder.info().precision, plain.info().precision) == ("turbo4", "none")
    ((one,), (other,)) = encoder.encode([TEXT]), plain.encode([TEXT])
    np.testing.assert_array_equal(one.whole, other.whole)
    np.testing.assert_array_equal(one.ranges, other.ranges)


def test_a_truncated_vector_is_the_beginning_of_the_whole_one(table: StaticTable, tmp_path: Path) -> None:
    cut = open_local(written(tmp_path, "truncate_dim: 5"))
    (short,), (whole,) = cut.encode([TEXT]), open_local(str(tmp_path / "table")).encode([TEXT])
    expected = whole.ranges[:, :5] / np.linalg.norm(whole.ranges[:, :5], axis=1, keepdims=True)
    np.testing.assert_allclose(short.ranges, expected, atol=1e-6)
    assert cut.info().dimension == 5
    (alone,) = cut.encode([Text("cat", NONE)])
    assert alone.ranges.shape == (0, 5)


def test_transforms_come_last_and_before_the_cut(table: StaticTable, tmp_path: Path) -> None:
    chain = fitted(table, tmp_path / "fitted.safetensors", type="pca", dimension=6)
    encoder = open_local(written(tmp_path, lines(chain) + "truncate_dim: 4"))
    (found,), (plain,) = encoder.encode([TEXT]), StaticEncoder(table).encode([TEXT])
    made = chain.apply(np.vstack([plain.whole, plain.ranges]))[:, :4]
    expected = made / np.linalg.norm(made, axis=1, keepdims=True)
    np.testing.assert_allclose(np.vstack([found.whole, found.ranges]), expected, atol=1e-6)
    np.testing.assert_array_equal(found.tokens, plain.tokens)
    assert encoder.info().dimension == 4


def test_the_name_of_the_vectors_changes_with_whatever_changes_them(table: StaticTable, tmp_path: Path) -> None:
    chain = fitted(table, tmp_path / "fitted.safetensors")
    texts = ["", "truncate_dim: 7", "truncate_dim: 6", lines(chain), lines(chain) + "truncate_dim: 6"]
    names = {open_local(written(tmp_path, text)).info().release for text in texts}
    assert len(names) == len(texts)
    for same in ("precision: binary", "dtype: float32", f"revision: sha256:{table.fingerprint}"):
        assert open_local(written(tmp_path, same)).info().release in names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pooling: {pooling_mode: mean}", "pooling.pooling_mode: not for the static table"),
        ("pooling: {layers: [1, -1]}", "pooling.layers: not"),
        ("windows: {overlap_tokens: 32}", "windows.overlap_tokens: not"),
        ("granularities: {span: {operator: ends}}", "granularities.span.operator: not"),
        ("max_seq_length: 64", "max_seq_length: not"),
        ("prompts: {query: 'q: ', document: 'd: '}", "prompts.query, prompts.document: not"),
        ("include_prompt: false", "include_prompt: not"),
        ("dtype: bfloat16", "dtype: not"),
        ("revision: sha256:00", "revision is sha256:00, but"),
        ("truncate_dim: 9", "truncate_dim is 9, the vectors have 8"),
    ],
)
def test_what_a_table_cannot_honour_is_refused_by_its_key(
    table: StaticTable, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ReleaseInvalid, match=said):
        open_local(written(tmp_path, text))


def test_no_key_is_passed_over(table: StaticTable, tmp_path: Path) -> None:
    """Each field that differs from a plain release is honoured (tested above) or refused."""
    honoured = {"name", "model", "revision", "dtype", "transforms", "transforms_file", "truncate_dim", "precision"}
    values = {"pooling": Pooling.CLS, "operator": Operator.ENDS, "layers": (1,), "overlap_tokens": 8}
    plain = Release("small-1", str(tmp_path / "table"))
    for field in fields(Release):
        if field.name not in honoured:
            with pytest.raises(ReleaseInvalid):
                open_static(replace(plain, **{field.name: values.get(field.name, "other")}))


def test_transforms_of_another_table_are_refused(table: StaticTable, tmp_path: Path) -> None:
    other = replace(table, rows=table.rows * 2)
    chain = fitted(other, tmp_path / "fitted.safetensors")
    with pytest.raises(TransformMismatch, match="fitted on another model"):
        open_local(written(tmp_path, lines(chain)))


def test_a_vector_of_which_transforms_leave_nothing_is_refused(table: StaticTable) -> None:
    (empty,) = StaticEncoder(table).encode([Text("", NONE)])
    chain = fit(
        parse_stages([{"type": "center"}]), np.tile(empty.whole, (64, 1)), release="tiny", fingerprint=table.fingerprint
    )
    encoder = StaticEncoder(table, chain=chain)
    assert encoder.encode([Text("cat", NONE)])
    with pytest.raises(InvalidVectors):
        encoder.encode([Text("", NONE)])


def test_transforms_can_be_fitted_on_a_tables_vectors(table: StaticTable, tmp_path: Path) -> None:
    """As `spanstream encoder fit` opens a model: the chain then belongs to the table."""
    encoder = open_local(replace(named(str(tmp_path / "table")), dtype="float32"))
    assert encoder.fingerprint == table.fingerprint


def test_a_table_is_found_as_a_model_and_refused_where_a_forward_pass_is_needed(
    table: StaticTable, tmp_path: Path
) -> None:
    assert find(named(written(tmp_path)).model) == tmp_path / "table"
    with pytest.raises(ModelUnsupported, match="holds a static table, which has no forward pass"):
        load(written(tmp_path))


def test_the_cache_of_windows_is_closed(table: StaticTable, tmp_path: Path) -> None:
    cache = WindowCache(tmp_path / "cache", 1 << 20, lambda hits, misses: None)
    open_local(written(tmp_path), cache=cache)
    assert not cache._thread.is_alive()
