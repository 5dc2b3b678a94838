"""Records that kill the process that handles them: the loop, on a log in memory that outlives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Outgoing, Record
from spanstream.eventlog.loop import SOLO_RECORDS, Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.events.codec import decode_failure
from spanstream.events.v1.failure_pb2 import REASON_HANDLER_CRASH
from spanstream.runtime.fair_consumer import Ahead, FairConsumer

IN, OUT = topics.PASSAGES.name, topics.EMBEDDINGS.name


class Death(BaseException):
    """As if the process ended here: nothing is committed, nothing closed."""


class Machine:
    """Starts a process again whenever it has died. `fair`: read through a FairConsumer."""

    def __init__(self, deadly: Callable[[bytes], bool], *, fair: bool = False, children: bool = True) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(topics.ALL)
        self._deadly, self._fair, self._children = deadly, fair, children
        self.deaths = self.asked = 0
        self.outage = False

    def put(self, *values: bytes, key: bytes = b"t/s/1") -> None:
        for value in values:
            self.log.append(IN, key, value)

    def run(self, most: int = 20) -> int:
        """Until all is committed; how often it had to be started."""
        for start in range(1, most + 1):
            inner = self.log.consumer("stage", [IN], max_records=10)
            consumer = FairConsumer(inner, 10, Ahead(20)) if self._fair else inner
            survives = self._survives if self._children else None
            loop = Loop("stage", consumer, self.log.producer(), self._handle, poll_wait=0.0, survives=survives)
            try:
                while self.lag:
                    loop.step()
            except Death:
                self.deaths += 1
                inner.close()  # what the group's coordinator does once it is missed
                continue
            inner.close()
            return start
        return most

    @property
    def lag(self) -> int:
        ends, done = self.log.end_offsets(IN), self.log.committed("stage", IN)
        return sum(ends[partition] - done[partition] for partition in ends)

    def values(self) -> set[bytes]:
        return {record.value or b"" for records in self.log.topics[OUT] for record in records}

    def failures(self) -> list[tuple[int, bytes, int]]:
        records = [record for records in self.log.topics[topics.FAILURES.name] for record in records]
        events = [decode_failure(record.value) for record in records]
        return [(event.reason, event.value, event.attempts) for event in events]

    def _survives(self, record: Record) -> bool:
        self.asked += 1
        return not self._deadly(record.value or b"")

    def _handle(self, records: Sequence[Record]) -> list[Outgoing]:
        if self.outage:
            raise Death
        if any(self._deadly(record.value or b"") for record in records):
            raise Death
        return [Outgoing(OUT, record.key or b"", record.value or b"") for record in records]


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


@pytest.mark.parametrize("fair", [False, True])
def test_a_record_that_kills_is_dead_lettered_once_and_everything_else_is_handled(fair: bool) -> None:
    machine = Machine(lambda value: value == b"poison", fair=fair)
    machine.put(*numbers(3), b"poison", *numbers(30, start=3))
    machine.put(*numbers(5, start=100), key=b"other/s/1")
    assert machine.run() == 2  # one died of it, the next asked children
    assert machine.failures() == [(REASON_HANDLER_CRASH, b"poison", 2)]
    assert machine.values() == {*numbers(33), *numbers(5, start=100)}


@pytest.mark.promise("I13")
def test_a_hundred_among_many_are_each_dead_lettered_once() -> None:
    machine = Machine(lambda value: value.startswith(b"poison"), fair=True)
    for number in range(20):
        machine.put(*numbers(50, start=50 * number), b"poison %d" % number, key=b"tenant%d/s/1" % (number % 4))
    machine.run(most=200)
    assert sorted(value for _, value, _ in machine.failures()) == sorted(b"poison %d" % number for number in range(20))
    assert len(machine.values()) == 1000


def test_without_children_nobody_is_blamed() -> None:
    machine = Machine(lambda value: value == b"poison", children=False)
    machine.put(b"poison")
    assert machine.run(most=5) == 5
    assert machine.failures() == []


def test_kills_from_outside_make_no_dead_letters_and_solo_ends() -> None:
    machine = Machine(lambda value: False)
    machine.put(*numbers(10))
    machine.outage = True
    machine.run(most=7)
    assert machine.deaths == 7
    machine.outage, machine.asked = False, 0
    machine.put(*numbers(600, start=10))
    machine.run()
    assert machine.failures() == []
    assert len(machine.values()) == 610
    assert machine.asked == 7 * SOLO_RECORDS  # one at a time, more after each death, then whole polls again


def test_progress_forgets_how_often_a_partition_was_begun() -> None:
    log = MemoryLog()
    log.ensure_topics(topics.ALL)
    log.append(IN, b"t/s/1", b"1")
    log.append(IN, b"t/s/1", b"2")
    consumer = log.consumer("stage", [IN], max_records=1)
    (first,) = consumer.poll(0.0)
    place = (first.topic, first.partition)
    assert [consumer.begin([first])[place] for _ in range(3)] == [1, 2, 3]
    assert consumer.commit([first])
    (second,) = consumer.poll(0.0)
    assert consumer.begin([second]) == {place: 1}


def test_an_outage_while_alone_puts_the_record_back() -> None:
    machine = Machine(lambda value: False)
    machine.put(*numbers(2))
    machine.outage = True
    machine.run(most=2)
    machine.outage = False
    answers = [Retry(0.0, "down")] * 3

    def handle(records: Sequence[Record]) -> list[Outgoing]:
        if answers:
            raise answers.pop()
        return machine._handle(records)

    consumer = machine.log.consumer("stage", [IN])
    loop = Loop("stage", consumer, machine.log.producer(), handle, poll_wait=0.0, survives=lambda record: True)
    for _ in range(10):
        loop.step()
    assert (machine.lag, machine.failures(), machine.values()) == (0, [], {b"0", b"1"})
