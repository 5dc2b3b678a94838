"""What is erased is in no file any more: the whole product in this process, its real engine, its files read byte by byte."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from spanstream.client import Document, File
from spanstream.events.ids import Key
from spanstream.runtime.signing import Signer, verify
from spanstream.standalone.folder import DataFolder
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import State
from tests.fixtures.here import DIMENSION, running
from tests.fixtures.store import DIMENSION as STORED
from tests.fixtures.store import head, passage

SOURCE = "wiki"
# Alike in nothing, so that no compression writes one as a part of another.
ERASED = [b"Zwieback", b"Quixotry", b"Umbrella", b"Jackdaws"]
FOR_EVER = 2**62


def files_with(folder: Path, words: list[bytes]) -> dict[str, list[bytes]]:
    """File -> the words that stand in it."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = [word for word in words if word in data]
    return {name: there for name, there in found.items() if there}


@pytest.mark.promise("I28")
def test_no_word_of_an_erased_document_is_left_in_any_file(tmp_path: Path) -> None:
    data, sent = tmp_path / "data", tmp_path / "note.md"
    text, title, value, uploaded = (word.decode() for word in ERASED)
    sent.write_text(f"# Note\n\nWords of a {uploaded}.")
    data.mkdir()
    folder = DataFolder(data)
    with running(data) as here, here.client() as client:
        erased = Document("text", f"Some {text} here.", title=title, metadata={"m": value})
        report = client.ingest(SOURCE, [erased, File("note.md", sent), Document("kept", "Still here.")])
        assert report.counts.searchable == 3
        assert {word for words in files_with(data, ERASED).values() for word in words} == set(ERASED)
        client.wait_searchable([client.delete(SOURCE, id) for id in ("text", "note.md")])
        told = client.erasure_receipt(SOURCE, "text")
    verify(told, Signer.read(folder.receipt_key).public_key)
    found = {place["place"]: place["found"] for place in told["places"]}
    assert [found[name] for name in ("index: documents", "index: passages", "blobs", "log: failures.v1")] == [0] * 4
    assert (told["state"], found["index: files"]) == ("remaining", None)  # and that is the truth:
    assert files_with(data, ERASED)

    store = EdgeStore(folder.index)
    store.open((folder.index / "live").read_text(), DIMENSION, Compression.NONE)
    assert store.vacuum(FOR_EVER)
    assert not store.vacuum(0)
    kept = Key("default", SOURCE, "kept")
    assert [passage.text for passage in store.passages(store.heads([kept])[kept])] == ["Still here."]
    store.close()
    assert files_with(data, ERASED) == {}


@pytest.mark.promise("I28")
def test_the_files_of_another_generation_are_not_called_clear_with_those_of_the_live_one(tmp_path: Path) -> None:
    """Deleted in one, which then was replaced: it is cleared no more, and still there."""
    text, word = Key("acme", SOURCE, "text"), ERASED[0]
    store = EdgeStore(tmp_path)
    store.open("old", STORED, Compression.NONE)
    store.upsert_passages([replace(passage(text), text=word.decode())])
    now_us = time.time_ns() // 1000
    store.flip_heads([replace(head(text, state=State.DELETED, count=0), indexed_at_us=now_us)])
    store.delete_stale([store.heads([text])[text]])
    store.flush()
    store.make_live("old")
    store.open("new", STORED, Compression.NONE)
    store.make_live("new")
    held = store.holdings().held("acme")
    assert (held.documents, held.tombstones, held.passages, held.elsewhere) == (0, 0, 0, {"old": 0})
    assert files_with(tmp_path, [word])
    assert held.uncleared == {"old": 1}
    assert store.holdings().held("other").uncleared == {}
    store.close()


def test_a_document_that_has_expired_is_deleted_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXER_EXPIRY_SECONDS", "0.1")
    with running(tmp_path) as here, here.client() as client:
        receipts = [
            client.put(SOURCE, Document("over", "Bees.", expires_at="2020-01-01T00:00:00Z")),
            client.put(SOURCE, Document("kept", "Bees.", expires_at="2200-01-01T00:00:00Z")),
        ]
        client.wait_searchable(receipts)
        deadline = time.monotonic() + 60
        while client.status(SOURCE, "over").state != "deleted":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.status(SOURCE, "over").version == receipts[0].version
        assert client.status(SOURCE, "kept").state == "searchable"


def test_a_source_is_deleted_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as here, here.client() as client:
        for source in ("wiki", "news"):
            client.wait_searchable([client.put(source, Document(str(n), "Bees.")) for n in range(3)])
        deadline = time.monotonic() + 60
        while client.erase("wiki"):  # those whose deletes are on their way are deleted once more
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [(source.name, source.documents) for source in client.sources()] == [("news", 3)]
        told = client.erasure_receipt("wiki")
        assert (told["source"], told["id"], told["tombstones"], told["known"]) == ("wiki", None, 3, True)
        assert not client.erasure_receipt("wiki", "never")["known"]
