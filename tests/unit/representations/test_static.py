from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from spanstream.encoder.encoder import Text, check
from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable
from spanstream.representations.errors import ModelNotFound, ModelUnsupported
from spanstream.representations.local import open_local
from spanstream.representations.static import TABLE, TOKENIZER, StaticEncoder, StaticTable, load_static, save_static
from tests.unit.representations.tables import WORDS, tiny_table


@pytest.fixture(scope="module")
def table() -> StaticTable:
    return tiny_table()


@pytest.fixture(scope="module")
def encoder(table: StaticTable) -> StaticEncoder:
    return StaticEncoder(table)


def asked(text: str, *ranges: tuple[int, int], context: str = "", context_ranges: int = 0) -> Text:
    return Text(text, np.array(ranges, np.int32).reshape(-1, 2), context, None, context_ranges)


def mean(table: StaticTable, *words: str) -> np.ndarray:
    total = table.rows[[WORDS.index(word) for word in words]].astype(np.float64).sum(axis=0)
    return total / np.linalg.norm(total)


def test_vectors_are_sums_over_the_tokens_of_each_range(table: StaticTable, encoder: StaticEncoder) -> None:
    text = asked("The wing stalls. Cat sleeps.", (0, 16), (17, 28), (5, 7), (4, 15))
    (result,) = encoder.encode([text])
    check([text], [result], 8)
    assert result.tokens.tolist() == [4, 3, 1, 2]
    np.testing.assert_allclose(result.ranges[0], mean(table, "the", "wing", "stalls", "."), atol=1e-6)
    np.testing.assert_allclose(result.ranges[1], mean(table, "cat", "sleeps", "."), atol=1e-6)
    np.testing.assert_allclose(result.ranges[2], mean(table, "wing"), atol=1e-6)
    np.testing.assert_allclose(result.ranges[3], mean(table, "wing", "stalls"), atol=1e-6)
    whole = mean(table, "the", "wing", "stalls", ".", "cat", "sleeps", ".")
    np.testing.assert_allclose(result.whole, whole, atol=1e-6)


def test_the_context_is_in_the_whole_and_in_the_first_ranges_only(table: StaticTable, encoder: StaticEncoder) -> None:
    (result,) = encoder.encode([asked("wing stalls cat", (0, 4), (5, 11), context="Aero", context_ranges=1)])
    np.testing.assert_allclose(result.whole, mean(table, "wing", "stalls", "cat", "aero"), atol=1e-6)
    np.testing.assert_allclose(result.ranges[0], mean(table, "wing", "aero"), atol=1e-6)
    np.testing.assert_allclose(result.ranges[1], mean(table, "stalls"), atol=1e-6)


def test_a_long_context_does_not_drown_the_text(table: StaticTable, encoder: StaticEncoder) -> None:
    long, cut = encoder.encode([asked("cat", context="aero " * 5000), asked("cat", context="aero " * 64)])
    np.testing.assert_array_equal(long.whole, cut.whole)


def test_ranges_of_all_tokens_or_of_none_are_the_whole(encoder: StaticEncoder) -> None:
    (result,) = encoder.encode([asked(" wing cat  ", (0, 10), (9, 11), (3, 3), context="aero")])
    assert result.tokens.tolist() == [2, 0, 0]
    np.testing.assert_array_equal(result.ranges, np.tile(result.whole, (3, 1)))


def test_a_text_without_tokens_or_direction_has_the_safe_vector(table: StaticTable, encoder: StaticEncoder) -> None:
    texts = [asked(""), asked(" \n"), asked("nothing"), asked("plus minus"), asked("plus minus cat", (0, 10))]
    results = encoder.encode(texts)
    check(texts, results, 8)
    assert all((result.whole == table.empty).all() for result in results[:4])
    np.testing.assert_array_equal(results[4].ranges[0], results[4].whole)


PIECES = st.sampled_from(["wing", "Cat", ".", " ", "e\u0301", "\U0001f600", "\u4f60\u597d", "x" * 120, "\n"])


@settings(deadline=None, max_examples=50)
@given(st.lists(PIECES, max_size=30), st.data())
def test_a_text_alone_is_bit_equal_to_the_same_among_others(
    encoder: StaticEncoder, parts: list[str], data: st.DataObject
) -> None:
    text = "".join(parts)
    places = st.integers(0, len(text))
    ranges = [tuple(sorted(pair)) for pair in data.draw(st.lists(st.tuples(places, places), max_size=6))]
    one = asked(text, *ranges, context="aero cat")  # type: ignore[arg-type]
    (alone,) = encoder.encode([one])
    among = encoder.encode([asked("the cat", (0, 3)), one, asked("sleeps")])[1]
    check([one], [alone], 8)
    np.testing.assert_array_equal(alone.whole, among.whole)
    np.testing.assert_array_equal(alone.ranges, among.ranges)
    # without ranges another way of the tokenizer is taken
    np.testing.assert_allclose(encoder.encode([asked(text, context="aero cat")])[0].whole, alone.whole, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("The wing stalls. " * 60_000, 240_000), ("\U0001f600" * 100_000, None), ("w" * 50_000, 1)],
    ids=["megabyte", "emoji", "word"],
)
def test_any_text_is_read(encoder: StaticEncoder, text: str, tokens: int | None) -> None:
    one = asked(text, (0, len(text)), (0, 16))
    (result,) = encoder.encode([one])
    check([one], [result], 8)
    assert tokens in (None, result.tokens[0])


def test_malformed_ranges_and_calls_after_closing_are_refused(table: StaticTable) -> None:
    encoder = StaticEncoder(table)
    with pytest.raises(EncoderRejected):
        encoder.encode([asked("cat", (0, 4))])
    assert not encoder.unready()
    encoder.close()
    assert encoder.unready()
    with pytest.raises(EncoderUnavailable):
        encoder.encode([asked("cat")])


def test_tokens_are_observed(table: StaticTable) -> None:
    seen: list[tuple[int, float]] = []
    encoder = StaticEncoder(table, observe=lambda *call: seen.append(call))
    encoder.encode([asked("the cat"), asked("wing")])
    encoder.encode([asked("")])  # nothing read: no share of padding to tell
    assert [tokens for tokens, _ in seen] == [3]


def test_a_saved_table_is_read_back_under_the_same_name(table: StaticTable, tmp_path: Path) -> None:
    save_static(table, tmp_path / "static")
    found = load_static(tmp_path / "static")
    np.testing.assert_array_equal(found.rows, table.rows)
    np.testing.assert_array_equal(found.empty, table.empty)
    assert (found.name, found.teacher, found.teacher_fingerprint) == ("tiny", "teacher", "f" * 64)
    assert found.fingerprint == table.fingerprint


def test_another_table_has_another_name(table: StaticTable) -> None:
    other = table.rows.copy()
    other[1, 1] += 0.5
    assert StaticEncoder(replace(table, rows=other)).info().release != StaticEncoder(table).info().release
    assert StaticEncoder(table).info().release == f"tiny@{table.fingerprint[:8]}"


def test_a_folder_with_a_table_is_opened_as_any_model(table: StaticTable, tmp_path: Path) -> None:
    save_static(table, tmp_path)
    opened = open_local(str(tmp_path))
    assert isinstance(opened, StaticEncoder)
    assert opened.fingerprint == table.fingerprint
    opened.close()


@pytest.mark.parametrize("file", [TABLE, TOKENIZER])
def test_a_missing_file_is_named(table: StaticTable, tmp_path: Path, file: str) -> None:
    save_static(table, tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ModelNotFound, match=file):
        load_static(tmp_path)


@pytest.mark.parametrize("file", [TABLE, TOKENIZER])
def test_a_damaged_file_is_refused(table: StaticTable, tmp_path: Path, file: str) -> None:
    save_static(table, tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:100])
    with pytest.raises(ModelUnsupported, match=file):
        load_static(tmp_path)


def damaged(rows: np.ndarray, at: tuple[int, int], value: float) -> np.ndarray:
    rows = rows.copy()
    rows[at] = value
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, empty: (rows[:-1], empty), "11 tokens"),
        (lambda rows, empty: (rows.ravel(), empty), "shape"),
        (lambda rows, empty: (rows, empty[:-1]), "shape"),
        (lambda rows, empty: (damaged(rows, (2, 2), np.nan), empty), "not finite"),
        (lambda rows, empty: (rows, 0 * empty), "zero vector"),
        (lambda rows, empty: (rows.astype(np.int32), empty), "int32"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(
    table: StaticTable, tmp_path: Path, change: object, message: str
) -> None:
    save_static(table, tmp_path)
    rows, empty = change(table.rows, table.empty)  # type: ignore[operator]
    facts = {"format": "1", "name": "tiny", "teacher": "t", "teacher_fingerprint": "f"}
    save_file({"rows": rows, "empty": empty}, tmp_path / TABLE, facts)
    with pytest.raises(ModelUnsupported, match=message):
        load_static(tmp_path)


def test_an_id_beyond_the_rows_is_refused(table: StaticTable, tmp_path: Path) -> None:
    save_static(table, tmp_path)
    tokenizer = json.loads((tmp_path / TOKENIZER).read_text())
    word = max(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    tokenizer["model"]["vocab"][word] = 9999  # as many tokens as before
    (tmp_path / TOKENIZER).write_text(json.dumps(tokenizer))
    with pytest.raises(ModelUnsupported, match="do not belong together"):
        load_static(tmp_path)


def test_numbers_that_numpy_has_not_are_refused(table: StaticTable, tmp_path: Path) -> None:
    save_static(table, tmp_path)
    tensors = {"rows": torch.from_numpy(table.rows).bfloat16(), "empty": torch.from_numpy(table.empty)}
    save_tensors(tensors, tmp_path / TABLE, {"format": "1"})
    with pytest.raises(ModelUnsupported, match="is no static table"):
        load_static(tmp_path)


def test_another_format_is_refused(table: StaticTable, tmp_path: Path) -> None:
    save_static(table, tmp_path)
    save_file({"rows": table.rows, "empty": table.empty}, tmp_path / TABLE, {"format": "2"})
    with pytest.raises(ModelUnsupported, match="format '2'"):
        load_static(tmp_path)


def test_it_runs_without_torch() -> None:
    program = "import sys, spanstream.representations.static; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
