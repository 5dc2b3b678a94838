"""What the memory log does beyond the port's promises: exact, repeatable hand-over of partitions."""

from __future__ import annotations

import threading

from spanstream.eventlog.log import Outgoing, Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import Topic

TOPIC = Topic("t", "", 4, -1, 1 << 20, (), (), None)


def log_of(count: int) -> MemoryLog:
    log = MemoryLog(lambda: 12.5)
    log.ensure_topics([TOPIC])
    log.producer().publish([Outgoing("t", b"%d" % number, b"") for number in range(count)])
    return log


def test_records_bear_the_clocks_time() -> None:
    log = log_of(1)
    (record,) = log.consumer("g", ["t"]).poll(0)
    assert record.timestamp_ms == 12_500


def test_a_partition_moves_only_once_its_owner_has_polled_again() -> None:
    log = log_of(0)
    first, second = log.consumer("g", ["t"]), log.consumer("g", ["t"])
    first.poll(0)
    second.poll(0)
    assert (len(first.assignment()), len(second.assignment())) == (4, 0)
    first.poll(0)
    second.poll(0)
    assert (len(first.assignment()), len(second.assignment())) == (2, 2)


def test_a_member_that_lost_a_partition_cannot_commit_or_rewind_it() -> None:
    log = log_of(40)
    first, second = log.consumer("g", ["t"]), log.consumer("g", ["t"])
    records = first.poll(0)
    second.poll(0)
    first.poll(0)
    lost = [record for record in records if (record.topic, record.partition) not in first.assignment()]
    assert lost
    assert not first.commit(lost)
    first.rewind(lost)
    assert first.poll(0) == []
    assert {(record.partition, record.offset) for record in second.poll(0)} == {
        (record.partition, record.offset) for record in lost
    }


def test_a_poll_in_another_thread_wakes_when_something_is_published() -> None:
    log = log_of(0)
    consumer = log.consumer("g", ["t"])
    read: list[Record] = []
    thread = threading.Thread(target=lambda: read.extend(consumer.poll(30)))
    thread.start()
    log.append("t", b"k", b"v")
    thread.join(90)
    assert [record.value for record in read] == [b"v"]
