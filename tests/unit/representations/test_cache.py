"""What was read before is not read again, is the same to the bit, and the cache is never the reason of a failure."""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.representations.cache import WindowCache
from spanstream.representations.errors import CacheUnusable
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import Model, load
from spanstream.representations.release import Release
from tests.unit.representations.tiny import LINES, build

SENTENCE = "The boundary layer on a flat plate grows with the distance. "
FILE = "windows.sqlite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("cached") / "tiny", "bert", {"pooling_mode": "mean"})


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(str(folder))


def sentences(count: int) -> list[str]:
    """No two alike, for a small vocabulary too."""
    words = " ".join(LINES[:3]).split()
    return [f"{words[i % len(words)]} {words[(i * 7 + i // len(words)) % len(words)]} {SENTENCE}" for i in range(count)]


def document(several: list[str]) -> Text:
    ends = np.cumsum([len(sentence) for sentence in several])
    starts = ends - [len(sentence) for sentence in several]
    ranges = np.stack([starts, ends], axis=1).astype(np.int32)
    return Text("".join(several), ranges, "A title", starts.astype(np.int32), context_ranges=1)


class Reads:
    """An encoder with a cache, and the rows that its model had to read."""

    def __init__(self, model: Model, folder: Path, limit: int = 1 << 30) -> None:
        self.rows = 0
        self.counts: list[tuple[int, int]] = []
        cache = WindowCache(folder, limit, lambda hits, misses: self.counts.append((hits, misses)))
        self._encoder = LocalEncoder(model, cache=cache)
        packed = self._encoder._model.packed

        def counted(rows: Any) -> Any:
            self.rows += len(rows)
            return packed(rows)

        class Counted:
            def __getattr__(self, name: str) -> Any:
                return counted if name == "packed" else getattr(model, name)

        self._encoder._model = Counted()  # type: ignore[assignment]

    def read(self, text: Text, *, query: bool = False) -> tuple[Encoded, int]:
        """The answer, and how many rows were read for it."""
        before = self.rows
        (result,) = self._encoder.encode([text], query=query)
        return result, self.rows - before

    def close(self) -> None:
        self._encoder.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def same(one: Encoded, other: Encoded) -> bool:
    return np.array_equal(one.whole, other.whole) and np.array_equal(one.ranges, other.ranges)


def test_what_was_read_is_found_again_also_by_the_next_process(model: Model, tmp_path: Path) -> None:
    text = document(sentences(40))
    first = Reads(model, tmp_path)
    fresh, rows = first.read(text)
    assert rows > 5
    first.close()
    second = Reads(model, tmp_path)
    again, none = second.read(text)
    second.close()
    assert none == 0
    assert second.counts == [(rows, 0)]
    assert same(fresh, again)


def test_an_edit_reads_only_the_windows_it_touches(minilm: Model, tmp_path: Path) -> None:
    several = sentences(200)
    reads = Reads(minilm, tmp_path)
    before, rows = reads.read(document(several))
    after, few = reads.read(document([*several[:80], "A new one stands here. ", *several[80:]]))
    reads.close()
    assert rows > 12
    assert 0 < few <= 4
    np.testing.assert_array_equal(before.ranges[5], after.ranges[5])
    np.testing.assert_array_equal(before.ranges[195], after.ranges[196])


def test_queries_are_not_kept(model: Model, tmp_path: Path) -> None:
    reads = Reads(model, tmp_path)
    assert [reads.read(document([SENTENCE]), query=True)[1] for _ in range(2)] == [1, 1]
    reads.close()


def test_another_release_finds_nothing(folder: Path, model: Model, tmp_path: Path) -> None:
    one = Reads(model, tmp_path)
    one.read(document([SENTENCE]))
    one.close()
    other = Reads(load(Release("tiny", str(folder), document_prompt="d: ")), tmp_path)
    assert other.read(document([SENTENCE]))[1] == 1
    layered = Reads(load(Release("tiny", str(folder), layers=(2,))), tmp_path)
    assert layered.read(document([SENTENCE]))[1] == 1
    other.close()
    layered.close()


def test_what_was_used_least_goes_first(model: Model, tmp_path: Path) -> None:
    size = (2 + 1) * model.width * 4  # of a document of two sentences
    reads = Reads(model, tmp_path, limit=20 * size)
    texts = [document([sentence, SENTENCE]) for sentence in sentences(30)]
    for text in texts:
        reads.read(text)
        reads.read(texts[0])
    reads.close()
    reads = Reads(model, tmp_path)
    assert reads.read(texts[0])[1] == 0
    assert reads.read(texts[29])[1] == 0
    assert reads.read(texts[1])[1] == 1
    reads.close()
    with sqlite3.connect(tmp_path / FILE) as file:
        assert file.execute("SELECT sum(length(sums)) FROM windows").fetchone()[0] <= 20 * size


def test_a_damaged_file_is_begun_anew(model: Model, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, but long enough to look at" * 100)
    (tmp_path / f"{FILE}-wal").write_bytes(b"nor a part of one" * 100)
    reads = Reads(model, tmp_path)
    assert [reads.read(document([SENTENCE]))[1] for _ in range(2)] == [1, 0]
    reads.close()


def test_a_file_that_breaks_while_it_is_used_only_costs_time(model: Model, tmp_path: Path) -> None:
    reads = Reads(model, tmp_path)
    fresh, _ = reads.read(document([SENTENCE]))
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        until(lambda: file.execute("SELECT count(*) FROM windows").fetchone() == (1,))
        file.execute("DROP TABLE windows")
    again, rows = reads.read(document([SENTENCE]))
    assert (rows, same(fresh, again)) == (1, True)
    assert reads.read(document([SENTENCE]))[1] == 1
    reads.close()


@pytest.mark.parametrize(
    "change", ["substr(sums, 1, 7)", "CAST(x'0000c07f' || substr(sums, 5) AS BLOB)", "zeroblob(length(sums))"]
)
@pytest.mark.promise("I18")
def test_numbers_that_the_disk_has_changed_are_not_found(tmp_path: Path, change: str) -> None:
    cache = WindowCache(tmp_path, 1 << 20)
    cache.put([(b"k", np.ones((2, 8), np.float32))])
    cache.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.execute(f"UPDATE windows SET sums = {change}")
        file.commit()
    counts: list[tuple[int, int]] = []
    cache = WindowCache(tmp_path, 1 << 20, lambda hits, misses: counts.append((hits, misses)))
    assert cache.get([b"k"], 8) == {}
    cache.close()
    assert counts == [(0, 1)]


def test_a_file_that_is_found_damaged_while_it_is_read_is_begun_anew_at_the_next_start(tmp_path: Path) -> None:
    keys = [f"{number:020d}".encode() for number in range(500)]

    def found() -> int:
        cache = WindowCache(tmp_path, 1 << 24)
        number = len(cache.get(keys, 8))
        cache.put([(key, np.ones((40, 8), np.float32)) for key in keys])
        cache.close()
        return number

    assert found() == 0
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[:8192] + b"\xff" * 100_000 + data[108_192:])
    assert [found() for _ in range(3)] == [0, 0, 500]


def test_the_log_of_transactions_is_bounded_while_another_process_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanstream.representations.cache._LOG_BYTES", 1 << 20)
    cache = WindowCache(tmp_path, 1 << 24)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM windows").fetchone()
        cache.put([(b"1", np.ones((1000, 1000), np.float32))])
        until(lambda: (tmp_path / f"{FILE}-wal").stat().st_size > 1 << 20)
        other.execute("COMMIT")
        cache.put([(b"2", np.ones((1, 8), np.float32))])
        until(lambda: (tmp_path / f"{FILE}-wal").stat().st_size < 1 << 20)
    cache.close()


def test_what_waits_to_be_written_holds_no_more_memory_than_its_own(tmp_path: Path) -> None:
    cache = WindowCache(tmp_path, 1 << 20)
    batch = np.ones((1000, 8), np.float32)
    cache.put([(b"k", batch[:1])])
    held = weakref.ref(batch)
    del batch
    assert held() is None
    cache.close()


def test_a_key_that_is_asked_twice_counts_twice(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    cache = WindowCache(tmp_path, 1 << 20, lambda hits, misses: counts.append((hits, misses)))
    cache.put([(b"k", np.ones((1, 8), np.float32))])
    cache.get([b"k", b"k", b"x"], 8)
    cache.close()
    assert counts == [(2, 1)]


def test_what_several_processes_write_keeps_the_bound(tmp_path: Path) -> None:
    size, rows = 4000, 100
    caches = [WindowCache(tmp_path, rows * size) for _ in range(4)]
    for number, cache in enumerate(caches):
        cache.put([(f"{number} {at}".encode(), np.ones((1, size // 4), np.float32)) for at in range(60)])
        cache.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        assert file.execute("SELECT count(*) FROM windows").fetchone()[0] <= rows


def test_a_file_that_holds_something_else_is_not_deleted(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE windows (precious)")
    with pytest.raises(CacheUnusable, match="no such column"):
        WindowCache(tmp_path, 1 << 20)
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        assert other.execute("SELECT count(precious) FROM windows").fetchone() == (0,)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(CacheUnusable, match=str(folder)):
            WindowCache(folder, 1 << 20)


def test_what_nobody_used_for_long_is_forgotten(tmp_path: Path) -> None:
    key, sums = b"k" * 20, np.ones((1, 4), np.float32)
    first = WindowCache(tmp_path, 1 << 20)
    first.put([(key, sums)])
    first.close()
    kept = WindowCache(tmp_path, 1 << 20, unused_seconds=3600.0)
    kept.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        assert file.execute("SELECT count(*) FROM windows").fetchone() == (1,)
        file.execute("UPDATE windows SET used = used - 7200")
        file.commit()
    WindowCache(tmp_path, 1 << 20, unused_seconds=3600.0).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        assert file.execute("SELECT count(*) FROM windows").fetchone() == (0,)
