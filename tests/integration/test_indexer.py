"""The indexer as a service: its loop on a log, the real store behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spanstream.encoder.encoder import EncoderInfo
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Fatal
from spanstream.eventlog.log import Outgoing
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import decode_failure
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.indexer.service import GROUP, build
from spanstream.indexer.settings import IndexerSettings
from spanstream.runtime.service import Service
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import State
from tests.unit.indexer.documents import DIMENSION, Document, deleted
from tests.unit.indexer.stores import open_edge

KEY = Key("acme", "wiki", "a")


class LateEncoder(HashEncoder):
    """Cannot name itself the first time."""

    asked = 0

    def info(self) -> EncoderInfo:
        self.asked += 1
        if self.asked == 1:
            raise EncoderUnavailable("still starting")
        return super().info()


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topics(ALL)
    return log


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    store = EdgeStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def service(log: MemoryLog, store: EdgeStore, failures: list[BaseException]) -> Iterator[Service]:
    settings = IndexerSettings(
        log_url="memory:", store_url="edge:/nowhere", encoder_url="hash:64", maintenance_seconds=0.01
    )
    service = build(settings, log=log, store=store, encoder=LateEncoder(DIMENSION))
    service.start(failures.append)
    yield service
    service.stop(time.monotonic() + 10)
    assert failures == []


def publish(log: MemoryLog, *documents: Document) -> None:
    records = [record for document in documents for record in document.records(2)]
    log.producer().publish([Outgoing(r.topic, r.key or b"", r.value or b"", r.headers) for r in records])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def drained(log: MemoryLog) -> bool:
    topics = (EMBEDDINGS.name, FAILURES.name)
    return all(log.committed(GROUP, topic) == log.end_offsets(topic) for topic in topics)


def test_documents_from_the_log_are_in_the_store_once_their_offsets_are_committed(
    log: MemoryLog, store: EdgeStore, service: Service
) -> None:
    keys = [KEY._replace(id=str(i)) for i in range(100)]
    publish(log, *(Document(key, 1, [["one."], ["two."]]) for key in keys))
    until(lambda: drained(log))
    assert {head.state for head in store.heads(keys).values()} == {State.LIVE}
    assert len(store.heads(keys)) == 100
    assert not service.unready()
    assert service.live()


def test_unreadable_record_becomes_a_dead_letter_that_the_indexer_survives(
    log: MemoryLog, store: EdgeStore, service: Service
) -> None:
    log.append(EMBEDDINGS.name, KEY.encode(), b"\xff\xff")
    publish(log, Document(KEY, 1, [["one."]]))
    until(lambda: drained(log) and sum(log.end_offsets(FAILURES.name).values()) == 1 and KEY in store.heads([KEY]))
    letters = [record for partition in log.topics[FAILURES.name] for record in partition]
    assert decode_failure(letters[0].value).stage == "indexer"


@pytest.mark.parametrize(
    ("since_us", "failed", "again"), [(0, None, 1), (1, (3, "indexer", "EMBED_INVALID"), 0)], ids=["now", "for hours"]
)
def test_vectors_of_another_release_are_made_again_and_after_hours_end_as_a_failure_on_the_document(
    log: MemoryLog,
    store: EdgeStore,
    service: Service,
    since_us: int,
    failed: tuple[int, str, str] | None,
    again: int,
) -> None:
    (record,) = Document(KEY, 3, [["one."]]).records()
    event = EmbeddingEvent.FromString(record.value or b"")
    event.release = "other-1"
    event.origin.embedded_again_us = since_us
    log.append(EMBEDDINGS.name, record.key, event.SerializeToString(), record.headers)
    until(lambda: drained(log) and not store.unready())
    failures = [head.failure for head in store.heads([KEY]).values() if head.failure]
    assert [(each.version, each.stage, each.reason) for each in failures] == ([failed] if failed else [])
    assert sum(log.end_offsets(PASSAGES.name).values()) == again


def test_wrong_guess_is_published_again_to_be_embedded(log: MemoryLog, store: EdgeStore, service: Service) -> None:
    for record in Document(KEY, 3, [["one."]]).records(unchanged=True):
        log.append(record.topic, record.key, record.value, record.headers)
    until(lambda: sum(log.end_offsets(PASSAGES.name).values()) == 1)


def test_what_was_stopped_goes_on_with_another_indexer(log: MemoryLog, tmp_path: Path) -> None:
    settings = IndexerSettings(log_url="memory:", store_url="edge:/nowhere", encoder_url="hash:64")
    store = open_edge(tmp_path)
    failures: list[BaseException] = []
    keys = [KEY._replace(id=str(i)) for i in range(200)]
    for half in (keys[:100], keys[100:]):
        service = build(settings, log=log, store=store, encoder=HashEncoder(DIMENSION))
        publish(log, *(Document(key, 1, [["one."]]) for key in half))
        service.start(failures.append)
        until(lambda half=half: half[0] in store.heads(half))  # type: ignore[misc]
        service.stop(time.monotonic() + 10)
    log.append(EMBEDDINGS.name, keys[0].encode(), deleted(keys[0], 2).value)
    last = build(settings, log=log, store=store, encoder=HashEncoder(DIMENSION))
    last.start(failures.append)
    until(lambda: drained(log))
    last.stop(time.monotonic() + 10)
    heads = store.heads(keys)
    assert len(heads) == 200
    assert heads.pop(keys[0]).state is State.DELETED
    assert {head.state for head in heads.values()} == {State.LIVE}
    assert failures == []
    store.close()


class Precise(HashEncoder):
    """Of a release with a precision of its own."""

    def __init__(self, precision: str) -> None:
        super().__init__(DIMENSION)
        self._precision = precision

    def info(self) -> EncoderInfo:
        return replace(super().info(), precision=self._precision)


def alone(log: MemoryLog, folder: Path, precision: str, override: Compression | None) -> Service:
    settings = IndexerSettings(
        log_url="memory:", store_url=f"edge:{folder}", store_compression=override, encoder_url=f"hash:{DIMENSION}"
    )
    return build(settings, log=log, encoder=Precise(precision))


@pytest.mark.parametrize(
    ("precision", "override", "written"),
    [("none", Compression.TURBO4, '"bits4"'), ("turbo4", None, '"bits4"'), ("turbo4", Compression.BINARY, '"binary"')],
)
def test_indexer_alone_compresses_as_the_release_says_or_its_settings(
    log: MemoryLog, tmp_path: Path, precision: str, override: Compression | None, written: str
) -> None:
    service = alone(log, tmp_path, precision, override)
    service.start(lambda error: None)
    publish(log, Document(KEY, 1, [["one."]]))
    until(lambda: drained(log))
    service.stop(time.monotonic() + 10)
    [config] = tmp_path.glob("*/passages/edge_config.json")
    assert written in config.read_text()


def test_a_precision_that_is_not_known_ends_the_indexer_and_makes_no_dead_letters(
    log: MemoryLog, tmp_path: Path
) -> None:
    service = alone(log, tmp_path, "int3", None)
    failures: list[BaseException] = []
    service.start(failures.append)
    publish(log, Document(KEY, 1, [["one."]]))
    until(lambda: bool(failures))
    service.stop(time.monotonic() + 10)
    assert isinstance(failures[0], Fatal)
    assert "precision 'int3'" in str(failures[0])
    assert sum(log.end_offsets(FAILURES.name).values()) == 0
