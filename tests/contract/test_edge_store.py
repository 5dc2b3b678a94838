"""What only the store in a folder promises: it survives its process, and one process at a time has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EXACT_SPANS, EdgeStore
from spanstream.store.errors import StoreCorrupt, StoreUnavailable
from spanstream.store.kept import Kept
from spanstream.store.opening import open_store
from spanstream.store.points import Passage
from spanstream.store.queries import Condition, Dense, Match, Query, Range, Scope, Spans
from tests.fixtures.store import DIMENSION, hash_of, head, passage, scores, unit

ROOT = Path(__file__).resolve().parents[2]
ONE = hash_of("one")

WRITER = """
import sys
from pathlib import Path
from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from tests.fixtures.store import DIMENSION, head, passage
store = EdgeStore(Path(sys.argv[1]))
store.open("g", DIMENSION, Compression.NONE)
for n in range(1_000_000):
    key = Key("acme", "wiki", str(n))
    store.upsert_passages([passage(key, i) for i in range(3)])
    store.flip_heads([head(key, count=3)])
    print(n, flush=True)
"""


def child(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def opened(folder: Path) -> EdgeStore:
    store = EdgeStore(folder)
    store.open("g", DIMENSION, Compression.NONE)
    return store


def test_reopening_finds_everything(tmp_path: Path) -> None:
    key = Key("acme", "wiki", "d")
    store = opened(tmp_path)
    store.upsert_passages([passage(key, i) for i in range(5)])
    written = store.flip_heads([head(key, 3, count=5)])
    store.close()

    store = opened(tmp_path)
    assert store.heads([key]) == {key: written[0]}
    assert store.count_passages([(key, 1, ONE)]) == [5]
    assert (tmp_path / "live").read_text() == "g"
    store.close()


@pytest.mark.parametrize("writes", [1, 40, 400])
@pytest.mark.promise("I1")
@pytest.mark.finding("Qdrant Edge: what was acknowledged survives kill -9 without a flush", "confirmed")
def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path, writes: int) -> None:
    with child(WRITER, tmp_path) as process:
        assert process.stdout is not None
        acknowledged = 0
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged >= writes:
                process.send_signal(signal.SIGKILL)
                break
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])

    store = opened(tmp_path)
    keys = [Key("acme", "wiki", str(n)) for n in range(acknowledged + 1)]
    assert store.heads(keys).keys() == set(keys)
    assert set(store.count_passages([(key, 1, ONE) for key in keys])) == {3}
    assert store.count(Scope("acme")) in (len(keys), len(keys) + 1)
    store.close()


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with child(
        "import sys; from spanstream.store.opening import open_store; open_store('edge:' + sys.argv[1])", tmp_path
    ) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"StoreUnavailable: the data folder {tmp_path} is in use by process {os.getpid()}" in errors
    with pytest.raises(StoreUnavailable, match="in use"):
        open_store(f"edge:{tmp_path}")
    store.close()
    open_store(f"edge:{tmp_path}").close()


@pytest.mark.parametrize("damage", ["config", "folder", "segments", "segment"])
@pytest.mark.promise("I18")
def test_a_corrupt_folder_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    opened(tmp_path).close()
    shard = tmp_path / "g" / "passages"
    if damage == "config":
        (shard / "edge_config.json").write_text("{")
    elif damage == "folder":
        (shard / "segments").rename(tmp_path / "segments")
    elif damage == "segments":
        for segment in (shard / "segments").iterdir():
            segment.rename(tmp_path / segment.name)
    else:
        [state] = (shard / "segments").glob("*/segment.json")
        state.write_text("{")
    store = EdgeStore(tmp_path)
    with pytest.raises(StoreCorrupt, match=f"{shard}.*Restore it from a backup; or delete"):
        store.open("g", DIMENSION, Compression.NONE)
    assert store.unready()
    store.close()


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        EdgeStore(tmp_path / "file" / "below")


def test_a_creation_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    half = tmp_path / "g" / "documents.new"
    half.mkdir(parents=True)
    (half / "edge_config.json").write_text("{")
    store = opened(tmp_path)
    assert store.count(Scope("acme")) == 0
    store.close()


def test_beyond_the_exact_scan_the_best_spans_are_still_found(tmp_path: Path) -> None:
    """Spans lie near their passage's vector, so the shortlist by that vector holds (nearly) all of the best."""
    rng = np.random.default_rng(0)
    count = EXACT_SPANS + 500
    dense = unit(rng, count)
    spans = dense[:, None, :] + 0.6 * unit(rng, count, 3)
    spans /= np.linalg.norm(spans, axis=-1, keepdims=True)
    offsets = np.zeros((3, 2), np.int32)
    store = opened(tmp_path)
    store.upsert_passages(
        [
            Passage(Key("acme", "wiki", "d"), 1, ONE, n, 0, 1, "a", "", {}, (), 1, offsets, dense[n], spans[n])
            for n in range(count)
        ]
    )
    query = unit(rng)
    best = set(np.argsort(-(spans @ query).max(axis=1))[:50].tolist())
    [hits] = store.search([Query(Spans(query), Scope("acme"), 50)])
    assert len(best & {hit.passage.ordinal for hit in hits}) >= 48
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        store.heads([Key("acme", "wiki", "d")])
    assert store.unready()


@pytest.mark.parametrize("url", ["", "edge:", "http:", "ftp://host", "folder", "memory:"])
def test_an_address_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="STORE_URL"):
        open_store(url)


def test_flush_brings_both_logs_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[Path] = set()
    monkeypatch.setattr(os, "fsync", lambda opened: synced.add(Path(os.readlink(f"/proc/self/fd/{opened}"))))
    store = opened(tmp_path)
    store.upsert_passages([passage(Key("acme", "wiki", "d"), 0)])
    synced.clear()
    store.flush()
    for collection in ("documents", "passages"):
        log = tmp_path / "g" / collection / "wal"
        assert synced >= {log, *log.iterdir()}
    store.close()


def test_maintenance_cuts_the_logs_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept() -> int:
        return int(json.loads((tmp_path / "g" / "passages" / "wal" / "first-index").read_text())["ack_index"])

    store = opened(tmp_path)
    before = kept()
    for i in range(10):
        store.upsert_passages([passage(Key("acme", "wiki", "d"), i)])
    store.maintain()
    assert kept() == before  # too early
    monkeypatch.setattr("spanstream.store.edge.SHARD_FLUSH_SECONDS", 0.0)
    store.maintain()
    assert kept() == before + 10
    store.close()


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EdgeStore, list[Passage]]]:
    """A shard that is searched by its graph: 4,000 passages in 20 clusters, at thresholds that are small enough."""
    monkeypatch.setattr("spanstream.store.edge.GRAPH_THRESHOLD_KB", 50)
    monkeypatch.setattr("spanstream.store.edge.FULL_SCAN_KB", 1)
    rng = np.random.default_rng(0)
    cluster, rank = rng.integers(0, 20, 4000), rng.permutation(4000)
    dense = unit(rng, 20)[cluster] + 0.5 * unit(rng, 4000)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    written = [
        replace(
            passage(Key("acme", "wiki", f"d{n}"), metadata={"rank": int(rank[n]), "cluster": int(cluster[n])}),
            groups=("few",) if rank[n] < 100 else ("many",),
            dense=dense[n],
        )
        for n in range(4000)
    ]
    store = opened(tmp_path)
    store.upsert_passages(written)
    store.maintain()
    yield store, written
    store.close()


def test_a_filter_loses_nothing_on_a_shard_with_a_graph(graph: tuple[EdgeStore, list[Passage]]) -> None:
    """Recall of the 50 best at selectivities of 0.1 to 90 %, near the query, far from it, and by groups."""
    store, written = graph
    rng = np.random.default_rng(1)
    cases: list[tuple[Scope, Condition | None, Callable[[Passage], bool]]] = [
        (Scope("acme"), Range("metadata.rank", lt=kept), lambda item, kept=kept: item.metadata["rank"] < kept)
        for kept in (4, 40, 400, 1200, 2000, 3600)
    ]
    for chosen in ((3,), (4, 5, 6), tuple(range(10))):
        cases.append(
            (Scope("acme"), Match("metadata.cluster", chosen), lambda item, c=chosen: item.metadata["cluster"] in c)
        )
    cases.append((Scope("acme", ("few",)), None, lambda item: item.metadata["rank"] < 100))
    for scope, where, keeps in cases:
        kept = [item for item in written if keeps(item)]
        for _ in range(4):
            vector = (
                next(item.dense for item in written if item.metadata["cluster"] == rng.integers(0, 20)) + unit(rng) / 4
            )
            best = sorted(scores(Dense(vector), kept, written).values(), reverse=True)[:50]
            [ranked] = store.rank([Query(Dense(vector), scope, 50, where)])
            assert [score * float(np.linalg.norm(vector)) for _, score in ranked] == pytest.approx(best, abs=4e-3)


def test_what_was_made_live_is_live_after_a_kill_and_a_drop_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from tests.fixtures.store import DIMENSION, head, passage
store = EdgeStore(Path(sys.argv[1]))
store.open("g", DIMENSION, Compression.NONE)
beside = store.beside()
beside.open("next", DIMENSION, Compression.NONE)
beside.flip_heads([head(Key("acme", "wiki", "d"))])
store.make_live("next")
os.rename(Path(sys.argv[1]) / "g", Path(sys.argv[1]) / "g.dropped")
os.kill(os.getpid(), signal.SIGKILL)
"""
    with child(code, tmp_path) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = EdgeStore(tmp_path)
    assert store.open_live() == "next"
    assert store.kept() == [Kept("next", True, 1)]
    assert not (tmp_path / "g.dropped").exists()
    store.close()


def test_half_a_generation_is_dropped_and_nothing_else_is(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, Compression.NONE)
    (tmp_path / "next" / "documents").mkdir(parents=True)
    before = sorted(path.name for path in tmp_path.iterdir())
    for none in ("", "standing", "live", "never"):
        store.drop(none)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    store.drop("next")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in before if name != "next"]
    store.close()


def test_what_is_beside_is_closed_with_the_store_and_the_folder_is_free(tmp_path: Path) -> None:
    store = opened(tmp_path)
    beside = store.beside()
    beside.open("next", DIMENSION, Compression.NONE)
    store.close()
    with pytest.raises(StoreUnavailable):
        beside.heads([Key("acme", "wiki", "d")])
    opened(tmp_path).close()
