"""The production profile's KafkaTopics and KafkaUsers on a broker that asks for a login: each service may do its work, and no more."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from spanstream.eventlog.access import Access
from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log, Outgoing
from spanstream.eventlog.opening import open_log
from spanstream.events.ids import Key
from spanstream.events.topics import ALL
from tests.rehearsal.guarded import GuardedBroker
from tools.inventory import TOPICS_JOB

SECONDS = 60.0
# What each service publishes to, what its group reads, and something that is none of its business.
WORK = {
    "ingestor-api": (["documents.v1", "passages.v1", "embeddings.v1", "failures.v1"], "", [], "matches.v1"),
    "ingestor-worker": (["passages.v1", "failures.v1"], "ingestor", ["documents.v1"], "embeddings.v1"),
    "embedder": (["embeddings.v1", "failures.v1"], "embedder", ["passages.v1"], "documents.v1"),
    "indexer": (
        ["passages.v1", "failures.v1", "matches.v1", "documents.v1"],
        "indexer",
        ["embeddings.v1", "failures.v1"],
        "embeddings.v1",
    ),
    "migration": ([], "migrate-0123", ["documents.v1", "failures.v1"], "documents.v1"),
}
KEY = Key("default", "login", "one").encode()


class Door:
    """The guarded broker, and who may pass."""

    def __init__(self, broker: GuardedBroker, folder: Path) -> None:
        self._broker = broker
        self._ca = folder / "ca.crt"
        self._ca.write_text(broker.certificate)

    def log(self, service: str, *, password: str = "", ca: Path | None = None) -> Log:
        user = f"spanstream-{service}"
        return open_log(
            f"kafka://{self._broker.guarded}", Access(ca or self._ca, user, password or self._broker.password(user))
        )


@pytest.fixture(scope="module")
def door(guarded: GuardedBroker, tmp_path_factory: pytest.TempPathFactory) -> Door:
    return Door(guarded, tmp_path_factory.mktemp("door"))


@pytest.mark.parametrize("service", WORK)
def test_a_service_may_do_its_work_and_no_more(door: Door, service: str) -> None:
    writes, group, reads, foreign = WORK[service]
    log = door.log(service)
    producer = log.producer()
    try:
        producer.publish([Outgoing(topic, KEY, b"one") for topic in writes])
        with pytest.raises(EventLogError):
            producer.publish([Outgoing(foreign, KEY, b"one")], 10.0)
        if group:
            consumer = log.consumer(group, reads)
            deadline = time.monotonic() + SECONDS
            while not consumer.assignment():
                consumer.poll(0.1)
                assert time.monotonic() < deadline
            assert {topic for topic, _ in consumer.assignment()} == set(reads)
            consumer.close()
    finally:
        producer.close()
        log.close()


@pytest.mark.parametrize("service", ["ingestor-api", "migration"])
def test_who_asks_where_every_stage_is_may_know(door: Door, service: str) -> None:
    log = door.log(service)
    try:
        for group, topic in (("ingestor", "documents.v1"), ("embedder", "passages.v1"), ("indexer", "embeddings.v1")):
            assert len(log.committed(group, topic)) == len(log.end_offsets(topic)) == 24
        log.reader({"ingestor-api": "matches.v1", "migration": "failures.v1"}[service], {}).close()
    finally:
        log.close()


def test_the_topics_job_needs_no_more_than_the_page_says(guarded: GuardedBroker, door: Door) -> None:
    """docs/inventory.md, "Rights in Kafka"."""
    _, on, operations = TOPICS_JOB
    topic = replace(ALL[0], name="made.v1")
    rights = [{"resource": {"type": on, "name": topic.name, "patternType": "literal"}, "operations": list(operations)}]
    guarded.apply([], [{"metadata": {"name": "spanstream-topics"}, "spec": {"authorization": {"acls": rights}}}])
    log = door.log("topics")
    try:
        assert log.ensure_topics([topic]) == [topic.name]
        assert log.ensure_topics([topic]) == []
        assert len(log.end_offsets(topic.name)) == topic.partitions
    finally:
        log.close()


def test_what_moves_documents_may_move_groups_of_its_own_and_ask_how_long_documents_stay(door: Door) -> None:
    log = door.log("migration")
    try:
        log.move("migrate-4567", "documents.v1", {0: 0})
        assert log.committed("migrate-4567", "documents.v1")[0] == 0
        with pytest.raises(EventLogError):
            log.move("another", "documents.v1", {0: 0})
        assert log.kept("documents.v1") is None
        assert log.identity()
    finally:
        log.close()
