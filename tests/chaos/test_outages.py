"""Dependencies that are away for a while: their work waits in the log, and goes on once they are back. The encoder is in test_encoder.py, the
log in test_faults.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spanstream.embedder import service as embedder
from spanstream.embedder.settings import EmbedderSettings
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Outgoing
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import codec
from spanstream.events.ids import Key, content_hash
from spanstream.events.topics import ALL, DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.indexer import service as indexer
from spanstream.indexer.settings import IndexerSettings
from spanstream.ingestor import service as ingestor
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.service import Service
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.points import State
from tests.chaos.stage import dead_letters, settle

DOCUMENTS_SENT = 60  # more than the dead letters that stop a worker
WAIT_SECONDS = 120.0


@dataclass
class Away:
    """A port that does not answer while `down`."""

    port: Any
    error: Exception
    down: bool = False
    asked: int = field(default=0, init=False)  # while it was down, or said so itself

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self.down:
                self.asked += 1
                raise self.error
            try:
                return found(*arguments, **named)
            except type(self.error):
                self.asked += 1
                raise

        return call if callable(found) else found


@dataclass
class World:
    """The pipeline, from documents in the log to heads in the store."""

    log: MemoryLog
    store: MemoryStore
    dependencies: dict[str, Away]
    parser: Service  # the worker that reads files

    def send(self, number: int) -> None:
        """A document whose text is in the blob store."""
        self.send_to(self.log, self.dependencies["files"].port, number)

    @staticmethod
    def send_to(log: MemoryLog, blobs: Blobs, number: int) -> None:
        """As the ingest API does."""
        key, data = Key("acme", "feed", str(number)), f"Bees dance {number} times.".encode()
        event = DocumentEvent(tenant="acme", source="feed", id=key.id, version=1, operation=OPERATION_UPSERT)
        event.blob, event.content_type = blobs.put(key, 1, data), "text/plain"
        event.accepted_at_us = time.time_ns() // 1000
        event.content_hash = content_hash(title="", content_type="text/plain", body=data, metadata={}, groups=())
        message = Outgoing(DOCUMENTS.name, key.encode(), event.SerializeToString(), codec.headers(event))
        log.producer().publish([message])

    def live(self) -> int:
        """Documents that are shown."""
        keys = [Key("acme", "feed", str(number)) for number in range(DOCUMENTS_SENT)]
        return sum(head.state is State.LIVE for head in self.store.heads(keys).values())


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Where files are; the ingest API has made it."""
    Blobs(f"file:{tmp_path / 'blobs'}").make()
    return tmp_path / "blobs"


@contextmanager
def running(volume: Path, log: MemoryLog, store: MemoryStore) -> Iterator[World]:
    encoder = HashEncoder(16)
    log.ensure_topics(ALL)
    files = Away(Blobs(f"file:{volume}"), BlobsUnavailable("away"))
    index = Away(store, StoreUnavailable("away"))
    shared = {"log_url": "memory:", "encoder_url": "hash:16"}
    accept = IngestorSettings(log_url="memory:", blob_url=f"file:{volume}", roles="worker", min_free_bytes=0)
    failures: list[BaseException] = []
    services = [
        indexer.build(IndexerSettings(store_url="edge:/none", **shared), log=log, store=index, encoder=encoder),  # type: ignore[arg-type]
        embedder.build(EmbedderSettings(**shared), log=log, encoder=encoder, loops=1),
        ingestor.build(accept, log=log, blobs=files),  # type: ignore[arg-type]
    ]
    with ExitStack() as stack:
        for service in services:
            service.start(failures.append)
            stack.callback(lambda service=service: service.stop(time.monotonic() + WAIT_SECONDS))
        yield World(log, store, {"files": files, "index": index}, services[-1])
    assert failures == []


@pytest.fixture
def world(volume: Path) -> Iterator[World]:
    with running(volume, MemoryLog(), MemoryStore()) as made:
        yield made


@pytest.mark.promise("I14")
@pytest.mark.timeout(600)
def test_an_outage_of_files_or_index_is_waited_for(world: World) -> None:
    sent = 0
    for dependency in world.dependencies.values():
        world.send(sent)
        _until(lambda sent=sent: world.live() == sent + 1)
        dependency.down = True
        for number in range(sent + 1, sent + DOCUMENTS_SENT // 2):
            world.send(number)
        _until(lambda dependency=dependency: dependency.asked >= 3)  # it was tried again, and again
        assert dead_letters(world.log) == []
        assert world.live() == sent + 1
        dependency.down = False
        sent += DOCUMENTS_SENT // 2
    settle(world.log)
    _until(lambda: world.live() == DOCUMENTS_SENT)
    assert dead_letters(world.log) == []


@pytest.mark.promise("I14")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("another", [False, True], ids=["nothing", "a younger one"])
def test_a_worker_that_starts_before_its_volume_is_mounted_waits_for_it(volume: Path, another: bool) -> None:
    log, store, aside = MemoryLog(), MemoryStore(), volume.with_name("aside")
    log.ensure_topics(ALL)
    for number in range(DOCUMENTS_SENT):
        World.send_to(log, Blobs(f"file:{volume}"), number)
    volume.rename(aside)
    volume.mkdir()
    if another:
        Blobs(f"file:{volume}").make()
    with running(volume, log, store) as world:
        files = world.dependencies["files"]
        _until(lambda: files.asked >= 3)  # it was tried again, and again
        assert dead_letters(log) == []
        assert another or "volume" in world.parser.unready()[0]
        for mark in volume.iterdir():
            mark.unlink()
        volume.rmdir()
        aside.rename(volume)
        settle(log)
        _until(lambda: world.live() == DOCUMENTS_SENT)
        assert dead_letters(log) == []
        assert world.parser.unready() == []


def _until(holds: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
