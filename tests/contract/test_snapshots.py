"""Snapshots of a store, put in place of another's: Qdrant Edge, and a Qdrant server where STORE_URL names one (else one
that is played: its client's local mode has no snapshots)."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from qdrant_client import QdrantClient

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.errors import StoreCorrupt, StoreError, StoreRejected, StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.points import Head
from spanstream.store.queries import Dense, Query, Scope
from spanstream.store.server import ServerStore
from spanstream.store.snapshots import FILE
from spanstream.store.standing import StandingQuery
from spanstream.store.store import Store
from tests.fixtures.store import DIMENSION, head, passage

GENERATION = "model@1+rules@2"
KEYS = [Key("acme", "wiki", f"d{number}") for number in range(20)]
WATCH = StandingQuery(Scope("acme"), "bees", 1, 0.5, {"text": "bees"})


def _edge(folder: Path) -> Iterator[tuple[Store, Store]]:
    one, other = EdgeStore(folder / "one"), EdgeStore(folder / "other")
    yield one, other
    one.close()
    other.close()


def _server(url: str) -> Iterator[tuple[Store, Store]]:
    prefixes = [f"test-{uuid.uuid4().hex[:8]}-" for _ in range(2)]
    key = os.environ.get("STORE_API_KEY")
    one, other = (ServerStore.at(url, key, prefix) for prefix in prefixes)
    yield one, other
    client = QdrantClient(url=url, api_key=key)
    for collection in client.get_collections().collections:
        if collection.name.startswith(tuple(prefixes)):
            client.delete_collection(collection.name)
    for each in (one, other, client):
        each.close()


@pytest.fixture(params=["edge", *(["server"] if "STORE_URL" in os.environ else [])])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """An open store, and one that nothing was opened in."""
    for one, other in _edge(tmp_path) if request.param == "edge" else _server(os.environ["STORE_URL"]):
        one.open(GENERATION, DIMENSION, Compression.NONE)
        yield one, other


def fill(store: Store) -> None:
    store.upsert_passages([passage(key, ordinal) for key in KEYS for ordinal in range(2)])
    store.flip_heads([head(key, count=2, metadata={"year": 1990}) for key in KEYS])
    store.standing().save(WATCH)


def state(store: Store) -> tuple[dict[Key, Head], set[str], list[StandingQuery]]:
    return store.heads(KEYS), {mark.id for mark in store.scan_passages()}, store.standing().all()


def snapshot(store: Store, folder: Path) -> Path:
    folder.mkdir()
    store.snapshot(folder)
    return folder


def test_a_snapshot_put_in_place_is_what_was_there(stores: tuple[Store, Store], tmp_path: Path) -> None:
    one, other = stores
    fill(one)
    before = state(one)
    taken = snapshot(one, tmp_path / "taken")
    one.flip_heads([head(KEYS[0], 2, count=1)])  # is not in it
    other.restore(taken)
    assert other.open_live() == GENERATION
    assert state(other) == before
    other.open(GENERATION, DIMENSION, Compression.NONE)
    vector = passage(KEYS[0], 0).dense
    assert vector is not None
    [hits] = other.search([Query(Dense(vector), Scope("acme"), 1000)])
    assert {hit.passage.key for hit in hits} == set(KEYS)
    other.flip_heads([head(KEYS[1], 2, count=1)])
    assert other.heads([KEYS[1]])[KEYS[1]].version == 2


def test_a_snapshot_replaces_what_is_there(stores: tuple[Store, Store], tmp_path: Path) -> None:
    one, other = stores
    fill(one)
    taken = snapshot(one, tmp_path / "taken")
    other.restore(taken)
    other.open(GENERATION, DIMENSION, Compression.NONE)
    other.flip_heads([head(Key("acme", "wiki", "later"), 9)])
    if isinstance(other, EdgeStore):
        with pytest.raises(StoreRejected, match="open"):
            other.restore(taken)
        return
    other.restore(taken)
    assert len(list(other.scan_heads())) == len(KEYS)


# --- Qdrant Edge alone ---


def test_writes_wait_for_a_snapshot_and_none_is_lost(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "one")
    store.open(GENERATION, DIMENSION, Compression.NONE)
    fill(store)
    stop = threading.Event()
    written: list[Key] = []

    def write() -> None:
        while not stop.is_set():
            key = Key("acme", "wiki", f"more-{len(written)}")
            store.upsert_passages([passage(key)])
            store.flip_heads([head(key)])
            written.append(key)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(2):
            taken = snapshot(store, tmp_path / f"taken-{number}")
            other = EdgeStore(tmp_path / f"other-{number}")
            other.restore(taken)
            other.open_live()
            heads = {each.key for each in other.scan_heads()}
            assert {mark.key for mark in other.scan_passages()} >= heads >= set(KEYS)
            other.close()
    finally:
        stop.set()
        writer.join()
    assert store.heads(written).keys() == set(written)
    store.close()


def test_an_interrupted_restore_opens_nothing_until_it_is_done_again(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "one")
    store.open(GENERATION, DIMENSION, Compression.NONE)
    fill(store)
    taken = snapshot(store, tmp_path / "taken")
    store.close()
    (tmp_path / "one" / "restoring").write_text(GENERATION)  # as a crash in the middle leaves it
    store = EdgeStore(tmp_path / "one")
    with pytest.raises(StoreCorrupt, match="restore it again"):
        store.open(GENERATION, DIMENSION, Compression.NONE)
    store.restore(taken)
    store.open(GENERATION, DIMENSION, Compression.NONE)
    assert store.heads(KEYS).keys() == set(KEYS)
    store.close()


def test_a_restored_index_does_not_count_as_vacuumed(tmp_path: Path) -> None:
    for one, other in _edge(tmp_path):
        one.open(GENERATION, DIMENSION, Compression.NONE)
        fill(one)
        taken = snapshot(one, tmp_path / "taken")
        cleared = tmp_path / "other" / quote(GENERATION, safe="+") / "cleared"  # of the index that was there before
        cleared.parent.mkdir(parents=True)
        cleared.write_text("1700000000000000")
        other.restore(taken)
        assert not cleared.exists()


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"kind": "server"}, "«server»"), ({"format": 2}, "newer version"), ({"engine": "99.1"}, "newer version")],
)
def test_a_foreign_or_newer_snapshot_is_refused(tmp_path: Path, changed: dict[str, Any], word: str) -> None:
    store = EdgeStore(tmp_path / "one")
    store.open(GENERATION, DIMENSION, Compression.NONE)
    taken = snapshot(store, tmp_path / "taken")
    store.close()
    told = json.loads((taken / FILE).read_text())
    (taken / FILE).write_text(json.dumps(told | changed))
    other = EdgeStore(tmp_path / "other")
    with pytest.raises(StoreRejected, match=word):
        other.restore(taken)
    (taken / FILE).write_text("{")
    with pytest.raises(StoreRejected, match="that can be read"):
        other.restore(taken)
    other.close()


def test_a_store_without_an_index_has_none_to_open(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "one")
    with pytest.raises(StoreUnavailable, match="no index"):
        store.open_live()
    store.close()


def test_a_store_in_memory_has_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(StoreRejected):
        MemoryStore().snapshot(tmp_path)


# --- A Qdrant server alone ---


class Played(BaseHTTPRequestHandler):
    """Makes, hands out, takes and removes snapshots."""

    calls: list[str]
    uploads: dict[str, bytes]
    refuses = False

    def do_GET(self) -> None:
        if self.path == "/":
            return self._answer({"title": "qdrant", "version": "1.19.0"}, bare=True)
        if self.path == "/aliases":
            names = [{"alias_name": "documents", "collection_name": f"documents-{GENERATION.replace('@', '%40')}"}]
            return self._answer({"aliases": names})
        self.calls.append(f"get {self.path}")
        return self._send(b"the snapshot of " + self.path.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if "/upload" in self.path:
            self.uploads[self.path.split("/")[2]] = body
            return self._send(b"{}", 400) if self.refuses else self._answer(True)
        if self.path.startswith("/collections/aliases"):
            return self._answer(True)
        return self._answer({"name": "made.snapshot", "size": 1})

    def do_DELETE(self) -> None:
        self.calls.append(f"delete {self.path.partition('?')[0]}")
        self._answer(True)

    def _answer(self, result: Any, bare: bool = False) -> None:
        self._send(json.dumps(result if bare else {"result": result, "status": "ok", "time": 0.0}).encode())

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def played(*, refuses: bool = False) -> Iterator[tuple[ServerStore, type[Played]]]:
    handler = type("Handler", (Played,), {"calls": [], "uploads": {}, "refuses": refuses})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store = ServerStore.at(f"http://127.0.0.1:{server.server_address[1]}")
    try:
        yield store, handler
    finally:
        store.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_servers_snapshots_are_fetched_removed_there_and_sent_back(tmp_path: Path) -> None:
    with played() as (store, handler):
        assert store.open_live() == GENERATION
        taken = snapshot(store, tmp_path / "taken")
        assert sorted(each.name for each in taken.iterdir()) == [
            "documents.snapshot",
            "passages.snapshot",
            "queries.snapshot",
            FILE,
        ]
        assert len([call for call in handler.calls if call.startswith("delete")]) == 3
        store.restore(taken)
        assert len(handler.uploads) == 3
        assert all(b"the snapshot of" in body for body in handler.uploads.values())


def test_a_server_that_refuses_a_snapshot_is_told(tmp_path: Path) -> None:
    with played() as (store, _):
        store.open_live()
        taken = snapshot(store, tmp_path / "taken")
    with played(refuses=True) as (store, _), pytest.raises(StoreRejected, match="400"):
        store.restore(taken)


def test_the_clients_local_mode_has_no_snapshots(tmp_path: Path) -> None:
    store = ServerStore(QdrantClient(":memory:"))
    with pytest.raises(StoreError):
        store.snapshot(tmp_path)
    store.close()
