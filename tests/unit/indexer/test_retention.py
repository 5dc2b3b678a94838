from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import pytest

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Outgoing, Position, Producer
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import decode
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.indexer.handler import Indexer
from spanstream.indexer.retention import DAY_US, HOUR_SECONDS, Retention, Source, parse_retention, tombstone_seconds
from spanstream.store.compression import Compression
from spanstream.store.memory import MemoryStore
from spanstream.store.points import State
from spanstream.store.store import Store
from tests.unit.indexer.documents import GENERATION, Document, deleted, failed

START = 1_700_000_000_000_000
KEPT_DAYS = 7  # of every topic below
TOMBSTONE_DAYS = 2 * KEPT_DAYS + 7


class Bench:
    """The indexer, its retention, and a clock that is set by hand."""

    def __init__(self, store: Store, *, kept_ms: int = KEPT_DAYS * 86_400_000) -> None:
        self.store, self.now = store, START
        self.log = MemoryLog(lambda: self.now / 1e6)
        self.log.ensure_topics([replace(topic, partitions=1, retention_ms=kept_ms) for topic in ALL])
        self.index = Indexer(store, GENERATION, lambda: self.now)

    def retention(
        self,
        *,
        sources: dict[Source, float] | None = None,
        backup: float = 0,
        limit: int = 100,
        producer: Producer | None = None,
    ) -> Retention:
        return Retention(
            self.store.retention(),
            self.log,
            producer or self.log.producer(),
            lambda: self.now,
            sources=sources or {},
            backup_days=backup,
            limit=limit,
        )

    def put(self, id: str, version: int = 1, **more: int) -> Document:
        document = Document(Key("acme", "wiki", id), version, [["One fish."]], **more)
        assert not self.index(document.records())
        return document

    def deletes(self) -> list[tuple[str, int]]:
        """(id, version) of what was published, all of it deletes."""
        records = list(chain.from_iterable(self.log.topics[DOCUMENTS.name]))
        events = [decode(DocumentEvent, record.key, record.value, record.headers) for record in records]
        assert all(event.operation == OPERATION_DELETE for event in events)
        return [(event.id, event.version) for event in events]

    def state(self, id: str) -> State | None:
        key = Key("acme", "wiki", id)
        head = self.store.heads([key]).get(key)
        return head.state if head else None


@pytest.fixture
def bench() -> Bench:
    return Bench(opened())


def opened() -> MemoryStore:
    store = MemoryStore()
    store.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
    return store


def test_only_what_has_expired_is_deleted_at_the_version_that_is_shown(bench: Bench) -> None:
    bench.put("due", 7, expires_at_us=START)
    bench.put("later", 7, expires_at_us=START + 1)
    bench.put("never", 7)
    bench.retention().step()
    assert bench.deletes() == [("due", 7)]
    bench.now += 1
    bench.retention().step()
    assert sorted(bench.deletes()[1:]) == [("due", 7), ("later", 7)]  # the first delete has not reached the index yet


def test_a_newer_version_outlives_the_delete_of_the_expired_one(bench: Bench) -> None:
    bench.put("a", 7, expires_at_us=START)
    bench.retention().step()
    bench.put("a", 8)
    bench.index([deleted(Key("acme", "wiki", "a"), 7)])
    assert bench.state("a") is State.LIVE


def test_what_is_deleted_is_due_no_more(bench: Bench) -> None:
    bench.put("a", 7, expires_at_us=START)
    bench.index([deleted(Key("acme", "wiki", "a"), 7)])
    bench.retention().step()
    assert bench.deletes() == []


def test_one_look_deletes_at_most_the_limit(bench: Bench) -> None:
    for number in range(5):
        bench.put(f"n{number}", expires_at_us=START)
    bench.retention(limit=3).step()
    assert len(bench.deletes()) == 3


def test_a_delete_on_its_way_is_asked_for_once_an_hour_and_holds_up_no_other(bench: Bench) -> None:
    for number in range(3):
        bench.put(f"n{number}", expires_at_us=START)
    retention = bench.retention(limit=2)
    for _ in range(3):  # nothing reaches the index meanwhile
        retention.step()
    assert sorted(bench.deletes()) == [("n0", 1), ("n1", 1), ("n2", 1)]
    bench.now += int(HOUR_SECONDS * 1e6)
    retention.step()
    assert len(bench.deletes()) == 5


def test_a_source_with_a_retention_loses_what_is_older(bench: Bench) -> None:
    day = DAY_US
    bench.put("old", accepted_at_us=START - 31 * day)
    bench.put("new", accepted_at_us=START - 29 * day)
    bench.put("unsaid")  # straight through the log: counted from when it was indexed
    wiki: Source = ("acme", "wiki")
    bench.retention(sources={("acme", "other"): 1.0}).step()
    assert bench.deletes() == []
    bench.retention(sources={wiki: 30.0}).step()
    assert bench.deletes() == [("old", 1)]
    bench.now += 30 * day + 1
    bench.retention(sources={wiki: 30.0}).step()
    assert sorted(bench.deletes()[1:]) == [("new", 1), ("old", 1), ("unsaid", 1)]


def test_a_source_with_a_retention_loses_what_failed_too(bench: Bench) -> None:
    """Its file lies in the blob store."""
    bench.put("shown", 2, accepted_at_us=START - DAY_US)
    for id in ("shown", "never shown"):
        bench.index([failed(Key("acme", "wiki", id), 3)])  # long ago
    retention = bench.retention(sources={("acme", "wiki"): 30.0})
    retention.step()
    assert bench.deletes() == [("never shown", 3)]
    bench.index([deleted(Key("acme", "wiki", "never shown"), 3)])
    bench.retention(sources={("acme", "wiki"): 30.0}).step()
    assert bench.deletes() == [("never shown", 3)]


def test_a_look_that_cannot_publish_is_made_up_for_by_the_next(bench: Bench) -> None:
    bench.put("a", expires_at_us=START)
    retention = bench.retention(producer=Down())
    with pytest.raises(LogUnavailable):
        retention.step()
    bench.retention().step()
    assert bench.deletes() == [("a", 1)]


class Down:
    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        raise LogUnavailable("down")

    def close(self) -> None: ...


# --- Tombstones ---


def test_a_tombstone_goes_once_nothing_older_can_come_again_and_not_before(bench: Bench) -> None:
    key = Key("acme", "wiki", "a")
    bench.put("a")
    bench.index([deleted(key, 2)])
    bench.now += TOMBSTONE_DAYS * DAY_US
    bench.retention().step()
    assert bench.state("a") is State.DELETED
    bench.now += 1
    bench.retention().step()
    assert bench.state("a") is None


def test_backups_keep_tombstones_longer(bench: Bench) -> None:
    bench.index([deleted(Key("acme", "wiki", "a"), 2)])
    bench.now += (TOMBSTONE_DAYS + 1) * DAY_US
    bench.retention(backup=30).step()
    assert bench.state("a") is State.DELETED
    bench.now += 16 * DAY_US
    bench.retention(backup=30).step()
    assert bench.state("a") is None


def test_a_log_that_keeps_for_ever_keeps_tombstones_for_ever() -> None:
    bench = Bench(opened(), kept_ms=-1)
    bench.index([deleted(Key("acme", "wiki", "a"), 2)])
    bench.now += 10_000 * DAY_US
    bench.retention().step()
    assert bench.state("a") is State.DELETED


def test_live_documents_and_failures_newer_than_a_delete_are_not_purged(bench: Bench) -> None:
    bench.put("live")
    bench.index([deleted(Key("acme", "wiki", "failed"), 2)])
    bench.index([failed(Key("acme", "wiki", "failed"), 3)])
    bench.now += 1_000 * DAY_US
    bench.retention().step()
    assert (bench.state("live"), bench.state("failed")) == (State.LIVE, State.DELETED)


def test_a_document_that_came_back_meanwhile_is_not_purged(bench: Bench) -> None:
    bench.index([deleted(Key("acme", "wiki", "a"), 2)])
    bench.now += 1_000 * DAY_US
    bench.put("a", 3)
    bench.retention().step()
    assert bench.state("a") is State.LIVE


def test_tombstones_are_looked_for_once_an_hour_but_at_once_while_there_are_more(bench: Bench) -> None:
    for number in range(3):
        bench.index([deleted(Key("acme", "wiki", f"n{number}"), 2)])
    bench.now += 1_000 * DAY_US
    retention = bench.retention(limit=2)
    states = []
    for _ in range(2):
        retention.step()
        states.append(sum(bench.state(f"n{number}") is State.DELETED for number in range(3)))
    assert states == [1, 0]
    bench.index([deleted(Key("acme", "wiki", "late"), 2)])
    bench.now += 1_000 * DAY_US
    retention.step()
    assert bench.state("late") is None


# --- What settings say ---


def test_a_dead_letters_record_may_lie_in_its_topic_for_another_retention() -> None:
    day = 86_400
    assert tombstone_seconds([3.0 * day, 1.0 * day], 0) == 13 * day
    assert tombstone_seconds([3.0 * day], 10 * day) == 17 * day
    assert tombstone_seconds([3.0 * day, None], 0) is None


def test_retentions_of_sources_are_read() -> None:
    assert parse_retention(" acme/wiki=30 , beta/feed=0.5") == {("acme", "wiki"): 30.0, ("beta", "feed"): 0.5}
    assert parse_retention("") == {}


@pytest.mark.parametrize(
    "text", ["acme=1", "acme/wiki", "acme/wiki=0", "acme/wiki=inf", "a/b=1,a/b=2", "/b=1", "a/b=x"]
)
def test_retentions_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="tenant/source=days"):
        parse_retention(text)
