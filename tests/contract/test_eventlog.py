"""What the log port promises, held against both adapters."""

from __future__ import annotations

import gc
import itertools
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition  # type: ignore[import-untyped]

from spanstream.eventlog import sizes
from spanstream.eventlog.access import Access
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable, PositionGone, TooLarge
from spanstream.eventlog.log import Consumer, Headers, Log, Outgoing, Reader, Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.opening import open_log
from spanstream.eventlog.partitions import partition_of
from spanstream.events import topics
from spanstream.events.topics import Topic
from spanstream.runtime.fair_consumer import Ahead, FairConsumer

# kafka-python 3.0.12 forgets a socket that is still being connected when its client closes.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

DEADLINE = 120.0  # seconds; a cooperative rebalance takes up to two heartbeats of 3 s


@dataclass
class Cluster:
    """A log under test, and a way to write what our own producer never would."""

    log: Log
    append: Callable[[str, bytes | None, bytes | None, Headers], object]

    def topic(self, partitions: int = 3) -> str:
        name = f"test-{uuid.uuid4().hex}"
        created = self.log.ensure_topics([Topic(name, "", partitions, -1, 1 << 20, (), (), None)])
        assert created == [name]
        return name

    def publish(self, topic: str, *pairs: tuple[bytes, bytes]) -> None:
        producer = self.log.producer()
        producer.publish([Outgoing(topic, key, value) for key, value in pairs])
        producer.close()


def memory_cluster() -> Iterator[Cluster]:
    log = MemoryLog()
    yield Cluster(log, log.append)


class FairLog:
    """The log in memory, read fairly."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def consumer(self, group: str, topics: Sequence[str], *, max_records: int = 64) -> FairConsumer:
        inner = self._log.consumer(group, topics, max_records=max_records)
        return FairConsumer(inner, max_records, Ahead(2 * max_records, 1 << 20))


def fair_cluster() -> Iterator[Cluster]:
    log = MemoryLog()
    yield Cluster(FairLog(log), log.append)


def kafka_cluster(url: str) -> Iterator[Cluster]:
    log = open_log(url)
    foreign = KafkaProducer(bootstrap_servers=[url.removeprefix("kafka://")])

    def append(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        foreign.send(topic, value, key, list(headers)).get(10)

    yield Cluster(log, append)
    foreign.close()
    log.close()
    gc.collect()  # now, where what the client leaves is expected


@pytest.fixture(params=["memory", "fair", "kafka"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "memory":
        yield from memory_cluster()
    elif request.param == "fair":
        yield from fair_cluster()
    else:
        yield from kafka_cluster(request.getfixturevalue("kafka_url"))


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex}"


def read(consumer: Consumer, count: int) -> list[Record]:
    records: list[Record] = []

    def enough() -> bool:
        records.extend(consumer.poll(0.1))
        return len(records) >= count

    until(enough)
    return records


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.001)


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def numbered(count: int, keys: int = 1) -> list[tuple[bytes, bytes]]:
    return [(b"key %d" % (number % keys), b"%d" % number) for number in range(count)]


def test_creating_topics_twice_leaves_them_as_they_are(cluster: Cluster) -> None:
    name = cluster.topic(partitions=2)
    assert cluster.log.ensure_topics([Topic(name, "", 5, -1, 1 << 20, (), (), None)]) == []
    assert cluster.log.end_offsets(name) == {0: 0, 1: 0}


def test_publish_returns_where_each_message_lies_in_order(cluster: Cluster) -> None:
    topic = cluster.topic(partitions=1)
    producer = cluster.log.producer()
    first = producer.publish([Outgoing(topic, b"k", b"%d" % number) for number in range(3)])
    second = producer.publish([Outgoing(topic, b"k", b"3")])
    producer.close()
    assert [(one.topic, one.partition, one.offset) for one in first + second] == [(topic, 0, n) for n in range(4)]
    assert cluster.log.end_offsets(topic) == {0: 4}


def test_a_record_is_read_as_it_was_published(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    headers = (("message", b"m"), ("traceparent", b"00-1-2-01"), ("message", b"twice"), ("empty", b""))
    producer = cluster.log.producer()
    before = time.time() * 1000
    (position,) = producer.publish([Outgoing(topic, b"\x00key", b"\xffvalue", headers)])
    consumer = cluster.log.consumer(group, [topic])
    (record,) = read(consumer, 1)
    consumer.close()
    producer.close()
    assert (record.topic, record.partition, record.offset) == (position.topic, position.partition, position.offset)
    assert (record.key, record.value, record.headers) == (b"\x00key", b"\xffvalue", headers)
    assert before - 1000 <= record.timestamp_ms <= time.time() * 1000 + 1000


def test_a_null_key_and_a_null_value_arrive_as_none(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.append(topic, None, b"no key", ())
    cluster.append(topic, b"no value", None, ())
    consumer = cluster.log.consumer(group, [topic])
    records = read(consumer, 2)
    consumer.close()
    assert [(record.key, record.value) for record in records] == [(None, b"no key"), (b"no value", None)]


def test_records_of_one_key_keep_their_order(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(300, keys=7))
    consumer = cluster.log.consumer(group, [topic], max_records=10)
    records = read(consumer, 300)
    consumer.close()
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for record in records:
        by_key[record.key].append(int(record.value or b""))
    assert len(records) == 300
    assert all(seen == sorted(seen) for seen in by_key.values())
    assert {len({record.partition for record in records if record.key == key}) for key in by_key} == {1}


def test_the_partition_follows_from_the_key_alone(cluster: Cluster) -> None:
    topic = cluster.topic(partitions=6)
    keys = [b"", b"a", b"ab", b"abc", b"abcd", *(f"tenant/source/document-{n}".encode() for n in range(50))]
    producer = cluster.log.producer()
    positions = producer.publish([Outgoing(topic, key, b"") for key in keys])
    producer.close()
    assert [position.partition for position in positions] == [partition_of(key, 6) for key in keys]


def test_a_poll_returns_at_most_max_records(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(30, keys=9))
    consumer = cluster.log.consumer(group, [topic], max_records=4)
    seen: list[int] = []

    def all_read() -> bool:
        seen.append(len(consumer.poll(0.1)))
        return sum(seen) == 30

    until(all_read)
    consumer.close()
    assert max(seen) == 4


def test_a_partition_that_fills_every_poll_does_not_starve_the_others(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    keys = {partition_of(key, 3): key for key in (b"key %d" % number for number in range(20))}
    cluster.publish(topic, *((key, b"v") for key in keys.values() for _ in range(8)))
    consumer = cluster.log.consumer(group, [topic], max_records=4)
    seen: set[int] = set()
    for _ in range(100):
        read = [record.partition for record in consumer.poll(0.1)]
        cluster.publish(topic, *((keys[partition], b"more") for partition in read))
        seen.update(read)
        if len(seen) == 3:
            break
    consumer.close()
    assert seen == {0, 1, 2}


def test_a_poll_waits_and_returns_as_soon_as_there_is_a_record(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    consumer = cluster.log.consumer(group, [topic])
    until(lambda: consumer.poll(0.1) == [] and len(consumer.assignment()) == 3)

    def waited() -> bool:
        began = time.monotonic()
        assert consumer.poll(0.2) == []
        return time.monotonic() - began >= 0.19

    until(waited)  # a change in the group may cut one poll short, not each of them
    cluster.publish(topic, (b"k", b"v"))
    began = time.monotonic()
    assert values(consumer.poll(120)) == [b"v"]
    assert time.monotonic() - began < 100
    consumer.close()


def test_a_group_resumes_at_its_committed_offset(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(10))
    first = cluster.log.consumer(group, [topic], max_records=4)
    records = read(first, 8)
    assert first.commit(records[:4])
    first.close()
    second = cluster.log.consumer(group, [topic])
    assert values(read(second, 6)) == [b"%d" % number for number in range(4, 10)]
    second.close()


def test_how_often_a_partition_was_begun_is_kept_until_something_is_committed(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(2))
    for count in (1, 2):
        consumer = cluster.log.consumer(group, [topic], max_records=1)
        record = read(consumer, 1)[0]
        assert consumer.begin([record]) == {(topic, 0): count}
        consumer.close()
    consumer = cluster.log.consumer(group, [topic], max_records=1)
    assert read(consumer, 1)[0] == record
    assert consumer.commit([record])
    consumer.close()
    consumer = cluster.log.consumer(group, [topic], max_records=1)
    assert consumer.begin(read(consumer, 1)[:1]) == {(topic, 0): 1}
    consumer.close()


def test_commits_are_kept_per_partition_and_per_group(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(60, keys=20))
    consumer = cluster.log.consumer(group, [topic])
    assert cluster.log.committed(group, topic) == {0: 0, 1: 0, 2: 0}
    records = read(consumer, 60)
    done = [record for record in records if record.partition == 1]
    assert consumer.commit(done)
    consumer.close()
    assert cluster.log.committed(group, topic) == {0: 0, 1: len(done), 2: 0}
    assert cluster.log.committed("another", topic) == {0: 0, 1: 0, 2: 0}
    assert sum(cluster.log.end_offsets(topic).values()) == 60


def test_an_unknown_topic_is_named(cluster: Cluster, group: str) -> None:
    for ask in (cluster.log.end_offsets, lambda topic: cluster.log.committed(group, topic)):
        with pytest.raises(Fatal, match="no-such-topic"):
            ask("no-such-topic")
    producer = cluster.log.producer()
    with pytest.raises(LogUnavailable):
        producer.publish([Outgoing("no-such-topic", b"k", b"v")])
    producer.close()


def test_a_group_whose_next_record_is_gone_stops_and_a_new_group_starts_at_the_oldest(
    kafka_url: str, group: str
) -> None:
    """Kafka alone: the log in memory forgets nothing."""
    for cluster in kafka_cluster(kafka_url):
        topic = cluster.topic(partitions=1)
        cluster.publish(topic, *numbered(10))
        consumer = cluster.log.consumer(group, [topic], max_records=3)
        assert consumer.commit(read(consumer, 3)[:3])
        consumer.close()
        admin = KafkaAdminClient(bootstrap_servers=[kafka_url.removeprefix("kafka://")])
        admin.delete_records({TopicPartition(topic, 0): 5})
        admin.close()

        late = cluster.log.consumer(group, [topic])
        with pytest.raises(PositionGone, match=f"group {group}: .*{topic}/0"):
            read(late, 1)
        late.close()
        assert cluster.log.skip_lost(group) == {(topic, 0): 2}  # 3 and 4
        assert cluster.log.skip_lost(group) == {}
        again = cluster.log.consumer(group, [topic])
        assert [record.offset for record in read(again, 5)] == [5, 6, 7, 8, 9]
        fresh = cluster.log.consumer(f"{group}-new", [topic])
        assert [record.offset for record in read(fresh, 5)] == [5, 6, 7, 8, 9]
        fresh.close()
        cluster.publish(topic, *numbered(1))
        admin = KafkaAdminClient(bootstrap_servers=[kafka_url.removeprefix("kafka://")])
        admin.delete_records({TopicPartition(topic, 0): -1})
        admin.close()
        with pytest.raises(EventLogError, match="has members"):
            cluster.log.skip_lost(group)
        again.close()


def test_a_group_without_members_is_moved_and_reads_from_there(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(5))
    consumer = cluster.log.consumer(group, [topic])
    assert consumer.commit(read(consumer, 5))
    with pytest.raises(EventLogError, match="members"):
        cluster.log.move(group, topic, {0: 2})
    consumer.close()
    cluster.log.move(group, topic, {0: 2})
    assert cluster.log.committed(group, topic) == {0: 2}
    consumer = cluster.log.consumer(group, [topic])
    assert values(read(consumer, 3)) == [b"2", b"3", b"4"]
    consumer.close()


def test_a_cluster_has_one_name(cluster: Cluster) -> None:
    assert cluster.log.identity() == cluster.log.identity() != ""
    assert cluster.log.identity() != MemoryLog().identity()


def test_rewind_reads_the_same_records_again_in_order(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(40, keys=8))
    consumer = cluster.log.consumer(group, [topic])
    records = read(consumer, 40)
    consumer.rewind(records)
    again = read(consumer, 40)
    consumer.close()

    def by_partition(some: list[Record]) -> dict[int, list[Record]]:
        ordered = sorted(some, key=lambda record: record.partition)  # stable: the order within a partition stays
        return {key: list(part) for key, part in itertools.groupby(ordered, lambda record: record.partition)}

    assert by_partition(again) == by_partition(records)


def test_rewind_of_part_of_the_partitions_leaves_the_others(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(40, keys=8))
    consumer = cluster.log.consumer(group, [topic])
    records = read(consumer, 40)
    some = [record for record in records if record.partition == 2][1:]
    consumer.rewind(some)
    assert read(consumer, len(some)) == some
    assert consumer.poll(0.3) == []
    consumer.close()


def test_what_came_or_came_back_is_told_once(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    consumer = cluster.log.consumer(group, [topic])
    until(lambda: consumer.poll(0.1) == [] and len(consumer.assignment()) == 3)
    assert consumer.taken() == consumer.assignment()
    assert consumer.taken() == frozenset()
    other = cluster.log.consumer(group, [topic])
    until(lambda: consumer.poll(0.1) == [] and other.poll(0.1) == [] and len(other.assignment()) > 0)
    kept = consumer.assignment()
    assert other.taken() == other.assignment()
    other.close()
    until(lambda: consumer.poll(0.1) == [] and len(consumer.assignment()) == 3)
    assert consumer.taken() == consumer.assignment() - kept
    consumer.close()


def test_while_paused_polls_are_empty_and_the_membership_stays(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    consumer = cluster.log.consumer(group, [topic])
    until(lambda: consumer.poll(0.1) == [] and len(consumer.assignment()) == 3)
    consumer.pause()
    cluster.publish(topic, *numbered(20, keys=9))
    assert [list(consumer.poll(0.1)) for _ in range(5)] == [[]] * 5
    assert len(consumer.assignment()) == 3
    consumer.resume()
    records = read(consumer, 20)
    assert sorted(int(record.value or b"") for record in records) == list(range(20))
    consumer.close()


def test_rewind_and_pause_then_resume_starts_at_the_first_record(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(10))
    consumer = cluster.log.consumer(group, [topic], max_records=3)
    records = read(consumer, 3)
    consumer.rewind(records)
    consumer.pause()
    assert consumer.poll(0.2) == []
    consumer.resume()
    assert values(read(consumer, 10)) == [b"%d" % number for number in range(10)]
    consumer.close()


class Member:
    """A consumer that polls in a thread of its own."""

    def __init__(self, consumer: Consumer) -> None:
        self.seen: list[Record] = []
        self.held: frozenset[tuple[str, int]] = frozenset()
        self._consumer = consumer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            records = self._consumer.poll(0.1)
            self.held = self._consumer.assignment()
            if records and self._consumer.commit(records):
                self.seen.extend(records)
        self._consumer.close()


@pytest.mark.promise("I30")
def test_two_members_share_the_partitions_and_a_closed_ones_move_to_the_other(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    members = [Member(cluster.log.consumer(group, [topic])) for _ in range(2)]
    stays, leaves = members
    try:
        until(lambda: bool(stays.held) and bool(leaves.held) and len(stays.held | leaves.held) == 3)
        assert not stays.held & leaves.held
        cluster.publish(topic, *numbered(30, keys=12))
        until(lambda: len(stays.seen) + len(leaves.seen) == 30)
        for member in members:
            assert {(record.topic, record.partition) for record in member.seen} == member.held
        leaves.close()
        until(lambda: len(stays.held) == 3)
        cluster.publish(topic, *numbered(30, keys=12))
        until(lambda: len(stays.seen) + len(leaves.seen) == 60)
    finally:
        for member in members:
            member.close()
    assert sorted(values(stays.seen + leaves.seen), key=str) == sorted(
        [value for _, value in numbered(30)] * 2, key=str
    )


@pytest.mark.finding(
    "kafka-python: a join that ended between two polls is begun anew, so a member that is never idle keeps its group rebalancing",
    "confirmed; its answer is taken",
)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_member_with_no_time_to_wait_lets_another_one_in(cluster: Cluster, group: str, pause: float) -> None:
    topic = cluster.topic()
    busy = cluster.log.consumer(group, [topic])
    try:
        until(lambda: busy.poll(0.1) == [] and len(busy.assignment()) == 3)
        comes = Member(cluster.log.consumer(group, [topic]))
        try:

            def shared() -> bool:
                busy.poll(0.0)
                time.sleep(pause)  # works
                return bool(comes.held) and bool(busy.assignment()) and len(comes.held | busy.assignment()) == 3

            until(shared)
        finally:
            comes.close()
    finally:
        busy.close()


def test_a_killed_process_is_succeeded_at_once_by_the_next_of_its_name(kafka_url: str, group: str) -> None:
    """Kafka alone. A member that says nothing and does not leave would hold up its group until its session is over."""
    killed, again = (open_log(kafka_url, Access(member="pod-1")) for _ in range(2))
    other = open_log(kafka_url, Access(member="pod-2"))
    topic = f"test-{uuid.uuid4().hex}"
    killed.ensure_topics([Topic(topic, "", 3, -1, 1 << 20, (), (), None)])
    silent = killed.consumer(group, [topic])
    until(lambda: silent.poll(0.1) == [] and len(silent.assignment()) == 3)  # and never polls again
    # Two of one process, of which neither puts out the other, and one of another.
    members = [Member(log.consumer(group, [topic])) for log in (again, again, other)]
    try:
        until(lambda: len({frozenset(member.held) for member in members if len(member.held) == 1}) == 3)
    finally:
        for member in members:
            member.close()
        silent.close()
        for log in (killed, again, other):
            log.close()


def test_one_consumer_reads_several_topics(cluster: Cluster, group: str) -> None:
    names = [cluster.topic(partitions=2), cluster.topic(partitions=2)]
    for name in names:
        cluster.publish(name, (b"k", name.encode()))
    consumer = cluster.log.consumer(group, names)
    assert sorted(values(read(consumer, 2)), key=str) == sorted((name.encode() for name in names), key=str)
    assert len(consumer.assignment()) == 4
    consumer.close()


def test_lag_counts_what_was_not_read_yet(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(10))
    consumer = cluster.log.consumer(group, [topic], max_records=4)
    assert consumer.lag() == {}
    records = read(consumer, 4)
    assert consumer.lag() == {(topic, 0): 6}
    consumer.rewind(records)
    assert consumer.lag() == {(topic, 0): 10}
    read(consumer, 10)
    assert consumer.lag() == {(topic, 0): 0}
    consumer.close()


def test_what_others_read_meanwhile_is_no_lag_of_a_partition_that_comes_back(cluster: Cluster, group: str) -> None:
    topic = cluster.topic()
    cluster.publish(topic, *numbered(20, keys=8))
    consumer, other = cluster.log.consumer(group, [topic]), cluster.log.consumer(group, [topic])
    consumer.commit(read(consumer, 20))
    until(lambda: consumer.poll(0.1) == [] and other.poll(0.1) == [] and len(other.assignment()) > 0)
    cluster.publish(topic, *numbered(20, keys=8))
    count = 0
    while count < 20:
        for each in (consumer, other):
            records = each.poll(0.1)
            assert each.commit(records)
            count += len(records)
    other.close()
    until(lambda: consumer.poll(0.1) == [] and len(consumer.assignment()) == 3)
    assert [consumer.poll(0.1) for _ in range(10)] == [[]] * 10
    assert consumer.lag() == dict.fromkeys(consumer.assignment(), 0)
    consumer.close()


def test_closing_twice_is_fine_and_commits_nothing(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(3))
    consumer = cluster.log.consumer(group, [topic])
    read(consumer, 3)
    consumer.close()
    consumer.close()
    producer = cluster.log.producer()
    producer.close()
    producer.close()
    assert cluster.log.committed(group, topic) == {0: 0}
    assert not cluster.log.unready()


@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
@pytest.mark.parametrize("byte", [None, b"a"], ids=["incompressible", "compressible"])
def test_a_message_at_the_limit_is_taken_and_a_byte_more_is_refused_before_sending(
    cluster: Cluster, topic: Topic, byte: bytes | None
) -> None:
    cluster.log.ensure_topics(topics.ALL)
    room = topic.max_message_bytes - sizes.size(Outgoing(topic.name, b"k", b""))
    room -= int(room * 4 / 65536) + 1
    payload = (byte * room) if byte else _noise(room)
    largest = Outgoing(topic.name, b"k", payload)
    assert topic.max_message_bytes - 128 < sizes.size(largest) <= topic.max_message_bytes
    before = cluster.log.end_offsets(topic.name)
    producer = cluster.log.producer()
    with pytest.raises(TooLarge):
        producer.publish([Outgoing(topic.name, b"k", b"small"), Outgoing(topic.name, b"k", payload + bytes(128))])
    assert cluster.log.end_offsets(topic.name) == before
    producer.publish([largest])  # still usable
    producer.close()
    assert sum(cluster.log.end_offsets(topic.name).values()) == sum(before.values()) + 1


def _noise(size: int) -> bytes:
    """Bytes that no compressor shortens, the same in every run."""
    return random.Random(7).randbytes(size)


# --- Reading without a group -----------------------------------------------------------------------------------------


def poll_all(reader: Reader, count: int) -> list[bytes | None]:
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(0.1))
        return len(records) >= count

    until(enough)
    return values(records)


def test_a_reader_starts_at_the_end_and_reads_what_comes(cluster: Cluster) -> None:
    topic = cluster.topic(partitions=2)
    cluster.publish(topic, *numbered(4, keys=3))
    reader = cluster.log.reader(topic, {})
    assert reader.positions() == cluster.log.end_offsets(topic)
    assert reader.poll(0.2) == []
    cluster.publish(topic, (b"key 0", b"new"))
    assert poll_all(reader, 1) == [b"new"]
    assert reader.positions() == cluster.log.end_offsets(topic)
    reader.close()
    reader.close()


def test_a_reader_goes_on_where_another_one_stopped(cluster: Cluster) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(10))
    first = cluster.log.reader(topic, {0: 2}, max_records=3)
    assert poll_all(first, 3) == [b"2", b"3", b"4"]
    second = cluster.log.reader(topic, first.positions())
    assert poll_all(second, 5) == [b"5", b"6", b"7", b"8", b"9"]
    assert poll_all(first, 5) == [b"5", b"6", b"7", b"8", b"9"]
    first.close()
    second.close()


def test_a_reader_beyond_the_end_starts_there(cluster: Cluster) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(3))
    reader = cluster.log.reader(topic, {0: 99, 7: 1})
    assert reader.positions() == {0: 3}
    reader.close()


def test_a_reader_commits_nothing_and_takes_nothing_from_a_group(cluster: Cluster, group: str) -> None:
    topic = cluster.topic(partitions=1)
    cluster.publish(topic, *numbered(2))
    reader = cluster.log.reader(topic, {0: 0})
    consumer = cluster.log.consumer(group, [topic])
    assert poll_all(reader, 2) == values(read(consumer, 2)) == [b"0", b"1"]
    assert cluster.log.committed(group, topic) == {0: 0}
    reader.close()
    consumer.close()


def test_a_reader_of_no_topic_says_so(cluster: Cluster) -> None:
    with pytest.raises(Fatal):
        cluster.log.reader(f"test-{uuid.uuid4().hex}", {})


def test_a_reader_passes_over_what_is_gone(kafka_url: str) -> None:
    """Kafka alone: the log in memory forgets nothing."""
    for cluster in kafka_cluster(kafka_url):
        topic = cluster.topic(partitions=1)
        cluster.publish(topic, *numbered(10))
        reader = cluster.log.reader(topic, {0: 1}, max_records=1)  # before the cut: it finds out while it reads
        admin = KafkaAdminClient(bootstrap_servers=[kafka_url.removeprefix("kafka://")])
        admin.delete_records({TopicPartition(topic, 0): 5})
        admin.close()
        late = cluster.log.reader(topic, {0: 2})
        assert late.positions() == {0: 5}
        assert poll_all(late, 5) == poll_all(reader, 5) == [b"5", b"6", b"7", b"8", b"9"]
        late.close()
        reader.close()


def test_a_topic_tells_how_long_it_keeps_a_record(cluster: Cluster) -> None:
    forever, week = cluster.topic(), f"test-{uuid.uuid4().hex}"
    cluster.log.ensure_topics([Topic(week, "", 1, 7 * 86_400_000, 1 << 20, (), (), None)])
    assert cluster.log.kept(forever) is None
    kept = cluster.log.kept(week)
    assert kept is not None
    # Kafka deletes whole segments, which by default may take a week more to end.
    assert 7 * 86_400 <= kept <= 2 * 7 * 86_400 + 3600


@pytest.mark.promise("I19")
@pytest.mark.parametrize("days", [-3650, 1])
def test_a_record_is_stamped_by_the_logs_clock_whatever_its_writers_says(kafka_url: str, days: int) -> None:
    """Kafka alone. By the writer's it would be refused from an hour ahead on, and deleted at once where it says long ago."""
    log = open_log(kafka_url)
    topic = f"test-{uuid.uuid4().hex}"
    log.ensure_topics([Topic(topic, "", 1, 7 * 86_400_000, 1 << 20, (), (), None)])
    said_ms = time.time_ns() // 1_000_000 + days * 86_400_000
    producer = KafkaProducer(bootstrap_servers=[kafka_url.removeprefix("kafka://")])
    producer.send(topic, b"value", timestamp_ms=said_ms).get(DEADLINE)
    producer.close()
    reader = log.reader(topic, {0: 0})
    records: list[Record] = []
    until(lambda: bool(records.extend(reader.poll(0.1)) or records))
    reader.close()
    log.close()
    assert abs(records[0].timestamp_ms - said_ms) > 43_200_000
