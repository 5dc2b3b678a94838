from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from spanstream.eventlog.log import Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.runtime.fair_consumer import Ahead, FairConsumer

TOPIC = topics.PASSAGES.name


def opened(partitions: int = 1, max_records: int = 4) -> tuple[MemoryLog, FairConsumer]:
    log = MemoryLog()
    log.ensure_topics([replace(topics.PASSAGES, partitions=partitions)])
    return log, joined(log, max_records)


def joined(log: MemoryLog, max_records: int = 4) -> FairConsumer:
    return FairConsumer.over(log, "stage", [TOPIC], max_records, Ahead(100))


def put(log: MemoryLog, tenant: str, *values: str) -> None:
    for value in values:
        log.append(TOPIC, f"{tenant}/s/{value[:1]}".encode(), value.encode())


def values(records: Sequence[Record]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


def committed(log: MemoryLog) -> int:
    return sum(log.committed("stage", TOPIC).values())


def test_a_tenants_backlog_holds_nobody_up_and_a_polls_records_are_in_order() -> None:
    log, consumer = opened()
    put(log, "noisy", *(f"n{number}" for number in range(20)))
    put(log, "quiet", "q0", "q1")
    first, second = consumer.poll(0.0), consumer.poll(0.0)
    shares = Counter(record.key.partition(b"/")[0] for record in (*first, *second) if record.key)
    assert shares[b"quiet"] == 2  # although twenty came before them
    assert [record.offset for record in first] == sorted(record.offset for record in first)


def test_nothing_is_committed_beyond_what_waits() -> None:
    log, consumer = opened()
    put(log, "noisy", *(f"n{number}" for number in range(20)))
    put(log, "quiet", "q0")
    given: list[Record] = []
    while not any(record.value == b"q0" for record in given):
        given += consumer.poll(0.0)
    assert consumer.commit(given[-1:])
    waiting = set(range(20)) - {record.offset for record in given}
    assert waiting
    assert committed(log) == min(waiting)
    consumer.close()
    again = joined(log, max_records=100).poll(0.0)
    assert {f"n{number}" for number in waiting} < set(values(again))  # and what was finished beyond them, once more


def test_all_is_committed_in_the_end() -> None:
    log, consumer = opened(partitions=3)
    for number in range(50):
        put(log, f"tenant{number % 7}", f"{number}")
    seen: list[Record] = []
    while records := consumer.poll(0.0):
        seen += records
        assert consumer.commit(records)
    assert committed(log) == len(seen) == 50
    assert consumer.lag() == {(TOPIC, partition): 0 for partition in range(3)}


def test_records_of_a_tenant_stay_in_order_and_what_comes_back_goes_first() -> None:
    log, consumer = opened(max_records=3)
    put(log, "a", *(f"x{number}" for number in range(6)))
    put(log, "b", "y")
    first = consumer.poll(0.0)
    consumer.rewind(first)
    assert consumer.commit(first)
    assert committed(log) == 0
    assert consumer.poll(0.0) == first
    consumer.rewind(first[1:])
    seen = [*first[:1]]
    while records := consumer.poll(0.0):
        seen += records
    assert [value for value in values(seen) if value.startswith("x")] == [f"x{number}" for number in range(6)]
    assert len(seen) == 7


def test_while_paused_it_hands_out_nothing_and_stays_a_member() -> None:
    log, consumer = opened()
    put(log, "a", "1", "2")
    first = consumer.poll(0.0)
    consumer.rewind(first)
    consumer.pause()
    put(log, "a", "3")
    assert consumer.poll(0.0) == []
    assert consumer.assignment()
    assert sum(consumer.lag().values()) == 3
    consumer.resume()
    assert values(consumer.poll(0.0)) == ["1", "2", "3"]


def test_no_more_is_read_ahead_than_it_may() -> None:
    for ahead in (Ahead(records=10), Ahead(bytes=10 * 1024)):
        log = MemoryLog()
        log.ensure_topics([replace(topics.PASSAGES, partitions=1)])
        inner = log.consumer("stage", [TOPIC], max_records=5)
        consumer = FairConsumer(inner, 1, ahead)
        put(log, "a", *map(str, range(200)))
        most = 0
        while records := consumer.poll(0.0):
            most = max(most, len(consumer._queue))
            consumer.commit(records)
        assert 10 <= most <= 15
        assert committed(log) == 200


def test_a_partition_that_goes_takes_what_was_read_of_it_along() -> None:
    log, consumer = opened(partitions=2, max_records=2)
    put(log, "a", *map(str, range(9)))
    put(log, "b", *map(str, range(9)))
    assert consumer.commit(consumer.poll(0.0))
    seen = list(consumer.poll(0.0))  # not finished when the other one comes
    other = joined(log)
    while not other.assignment():
        seen += [*other.poll(0.0), *consumer.poll(0.0)]
    held = consumer.assignment()
    assert len(held) == 1
    while records := [*consumer.poll(0.0), *other.poll(0.0)]:
        assert all((one.topic, one.partition) in held | other.assignment() for one in records)
        seen += records
    for one in (consumer, other):
        one.commit([record for record in seen if (record.topic, record.partition) in one.assignment()])
    assert committed(log) == 18


def test_what_was_away_and_came_back_is_handed_out_from_where_others_left_it() -> None:
    """A rebalance may take a partition and give it back between two polls."""
    log, consumer = opened(max_records=2)
    put(log, "a", *map(str, range(6)))
    first = consumer.poll(0.0)
    consumer._inner.close()  # it was silent for too long
    other = log.consumer("stage", [TOPIC], max_records=3)
    assert other.commit(other.poll(0.0))
    other.close()
    assert values(consumer.poll(0.0)) == ["3", "4"]
    assert len(consumer.taken()) == len(consumer.assignment())
    assert values(consumer.poll(0.0)) == ["5"]
    assert consumer.poll(0.0) == []
    consumer.commit(first)
    assert committed(log) == 3


def test_records_without_a_tenant_are_read_too() -> None:
    log, consumer = opened()
    log.append(TOPIC, None, None)
    log.append(TOPIC, b"\xff\xff", b"x")
    assert len(consumer.poll(0.0)) == 2


def test_a_commit_that_moves_nothing_leaves_the_note_of_a_beginning() -> None:
    log, consumer = opened(max_records=1)
    put(log, "a", "x" * 5000)  # five turns, so that others are handed out before it
    put(log, "b", "y0", "y1")
    first = consumer.poll(0.0)
    assert values(first) == ["y0"]
    place = (TOPIC, first[0].partition)
    assert consumer.begin(first) == {place: 1}
    assert consumer.commit(first)
    consumer.close()
    again = joined(log, max_records=1)
    assert again.begin(again.poll(0.0)) == {place: 2}
