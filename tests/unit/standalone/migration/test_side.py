"""The new generation is made as the services make theirs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spanstream.encoder.opening import open_encoder
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import DOCUMENTS
from spanstream.ingestor.settings import IngestorSettings
from spanstream.standalone import composition
from spanstream.standalone.composition import Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.store.memory import MemoryStore
from tests.fixtures.stepped import World, key

SECONDS = 60.0


def spans_with_a_vector(world: World, folder: Path, similarity: float | None) -> int:
    """Of the one document, in the new generation."""
    ingestor = IngestorSettings.read(LOG_URL="memory:", BLOB_URL=f"file:{folder}", SPANS="sentences+windows4:20")
    of = (world.log, MemoryStore(), ingestor, segmenter(ingestor.spans), None, 24.0, open_encoder, Room(None, 0))
    around = Surroundings(*of, span_similarity=similarity)
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


def test_in_one_process_they_are_those_of_the_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDER_SPAN_SIMILARITY", "0.9")
    folder = DataFolder(tmp_path)
    plan = Plan(composition.MIGRATING, "127.0.0.1", 0, 0, "memory:", f"edge:{tmp_path}", "hash:16")
    configs = composition.settings(plan, folder, "memory:")
    assert composition._around(plan, configs, World(tmp_path).log, MemoryStore()).span_similarity == 0.9
