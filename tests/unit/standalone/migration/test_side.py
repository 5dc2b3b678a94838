"""The new generation is made as the services make theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.errors import LogUnavailable
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import DOCUMENTS
from spanstream.ingestor.settings import IngestorSettings
from spanstream.standalone import composition
from spanstream.standalone.composition import Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.migration import side as side_module
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.store.index import Index
from spanstream.store.memory import MemoryStore
from tests.fixtures.stepped import World, key

SECONDS = 60.0


def surroundings(world: World, folder: Path, spans: str = "sentences", **more: Any) -> Surroundings:
    ingestor = IngestorSettings.read(LOG_URL="memory:", BLOB_URL=f"file:{folder}", SPANS=spans)
    of = (world.log, MemoryStore(), ingestor, segmenter(ingestor.spans), None, 24.0, open_encoder, Room(None, 0))
    return Surroundings(*of, **more)


def spans_with_a_vector(world: World, folder: Path, similarity: float | None) -> int:
    """Of the one document, in the new generation."""
    around = surroundings(world, folder, "sentences+windows4:20", span_similarity=similarity)
    side = Side(around, open_encoder("hash:24"), f"migrate-{similarity}", None, lambda: 0.0)
    side.start()
    deadline = time.monotonic() + SECONDS
    while side.progress.behind(world.log.end_offsets(DOCUMENTS.name)):
        assert not side.problem
        assert time.monotonic() < deadline
        time.sleep(0.01)
    side.stop()
    assert not side.progress.failed
    store = side.shown.store
    return sum(map(len, store.span_vectors(store.heads([key("d")])[key("d")].passage_ids()).values()))


def test_spans_that_the_embedders_leave_out_get_no_vector_here_either(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put("d")
    every = spans_with_a_vector(world, tmp_path, None)
    assert 0 < spans_with_a_vector(world, tmp_path, 0.1) < every


def test_where_it_cannot_be_made_its_store_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Index] = []
    monkeypatch.setattr(Index, "close", lambda store: closed.append(store))
    around = surroundings(World(tmp_path), tmp_path)

    def away(group: str, topic: str) -> dict[int, int]:
        raise LogUnavailable("away")

    monkeypatch.setattr(around.log, "committed", away)
    with pytest.raises(LogUnavailable):
        Side(around, open_encoder("hash:24"), "migrate", None, lambda: 0.0)
    assert len(closed) == 1


class Long(HashEncoder):
    """Encodes until it is closed, and then refuses."""

    def __init__(self) -> None:
        super().__init__(24)
        self.began, self.closed, self.store_closed = (threading.Event() for _ in range(3))

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.began.set()
        assert self.closed.wait(SECONDS)
        self.store_closed.wait(0.5)  # as long as it is still at it
        raise EncoderUnavailable("the encoder is closed")

    def close(self) -> None:
        self.closed.set()


def test_no_store_is_closed_while_a_step_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_module, "STOP_SECONDS", 0.0)
    world, encoder, late = World(tmp_path), Long(), list[bool]()
    world.put("d")
    side = Side(surroundings(world, tmp_path), encoder, "migrate", None, lambda: 0.0)
    side.start()
    assert encoder.began.wait(SECONDS)

    def close(_: Index) -> None:
        late.append(any(each.is_alive() for each in side._threads))
        encoder.store_closed.set()

    monkeypatch.setattr(Index, "close", close)
    side.stop()
    side.close()
    assert (late, side.problem) == ([False], "")


def test_in_one_process_they_are_those_of_the_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDER_SPAN_SIMILARITY", "0.9")
    folder = DataFolder(tmp_path)
    plan = Plan(composition.MIGRATING, "127.0.0.1", 0, 0, "memory:", f"edge:{tmp_path}", "hash:16")
    configs = composition.settings(plan, folder, "memory:")
    assert composition._around(plan, configs, World(tmp_path).log, MemoryStore()).span_similarity == 0.9
