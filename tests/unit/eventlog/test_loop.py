"""The consumer loop, on a log in memory and a clock that only the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from spanstream.eventlog import sizes
from spanstream.eventlog.breaker import Breaker
from spanstream.eventlog.errors import DeadLetterLimitExceeded, Fatal, LogUnavailable, Retry
from spanstream.eventlog.log import Headers, Outgoing, Position, Record, Rejected
from spanstream.eventlog.loop import COMMIT_RETRY, Handler, Loop, Result
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.events.codec import decode_failure
from spanstream.events.v1.failure_pb2 import (
    REASON_EMPTY_TEXT,
    REASON_ENVELOPE_UNREADABLE,
    REASON_HANDLER_CRASH,
    FailureEvent,
)

IN, OUT = topics.PASSAGES.name, topics.EMBEDDINGS.name
KEY = b"t/s/1"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watcher:
    """Remembers what the loop reported."""

    events: list[str] = field(default_factory=list)
    lags: list[tuple[int, int | None]] = field(default_factory=list)
    context: Headers = ()

    @contextmanager
    def step(self, records: Sequence[Record]) -> Iterator[None]:
        self.context = (("traceparent", b"step"),)
        yield
        self.context = ()

    def trace(self) -> Headers:
        return self.context

    def published(self, messages: Sequence[Outgoing]) -> None: ...

    def handled(self, records: Sequence[Record]) -> None:
        self.events.append(f"handled {len(records)}")

    def crashed(self, record: Record, error: BaseException) -> None:
        self.events.append(f"crashed {record.offset} {type(error).__name__}")

    def rejected(self, rejections: Sequence[Rejected]) -> None:
        self.events.append(f"rejected {len(rejections)}")

    def retried(self, records: Sequence[Record], wait: Retry) -> None:
        self.events.append(f"retried {len(records)} after {wait.after}")

    def commit_unknown(self, records: Sequence[Record]) -> None:
        self.events.append(f"commit unknown {len(records)}")

    def lag(self, records: int, oldest_ms: int | None) -> None:
        self.lags.append((records, oldest_ms))


class FlakyProducer:
    """A producer that raises what it is told to, before or after it has written."""

    def __init__(self, log: MemoryLog) -> None:
        self._producer = log.producer()
        self.errors: list[Exception] = []
        self.closed = False

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        if self.errors:
            raise self.errors.pop(0)
        return self._producer.publish(messages, deadline)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A loop with everything around it."""

    def __init__(
        self,
        handle: Handler,
        *,
        max_records: int = 10,
        breaker: Breaker | None = None,
        flush: Callable[[], None] | None = None,
    ) -> None:
        self.clock = Clock()
        self.log = MemoryLog(self.clock)
        self.log.ensure_topics(topics.ALL)
        self.consumer = self.log.consumer("stage", [IN], max_records=max_records)
        self.producer = FlakyProducer(self.log)
        self.watcher = Watcher()
        self.loop = Loop(
            "stage",
            self.consumer,
            self.producer,
            handle,
            observer=self.watcher,
            breaker=breaker,
            clock=self.clock,
            poll_wait=0.0,
            flush=flush,
        )

    def put(self, *values: bytes, headers: Headers = ()) -> None:
        for value in values:
            self.log.append(IN, KEY, value, headers)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.loop.step()

    @property
    def committed(self) -> int:
        return sum(self.log.committed("stage", IN).values())

    def written(self, topic: str) -> list[Record]:
        return [record for records in self.log.topics[topic] for record in records]

    def failures(self) -> list[FailureEvent]:
        return [decode_failure(record.value) for record in self.written(topics.FAILURES.name)]


def echo(records: Sequence[Record]) -> list[Outgoing]:
    return [Outgoing(OUT, record.key or b"", record.value or b"") for record in records]


def reject_all(records: Sequence[Record]) -> list[Rejected]:
    return [Rejected(record, REASON_EMPTY_TEXT, "the text is empty") for record in records]


class PanicException(BaseException):
    """As libraries written in Rust raise it."""


def crash_on(*bad: bytes, error: type[BaseException] = ValueError) -> Handler:
    def handle(records: Sequence[Record]) -> Iterator[Outgoing]:
        for record in records:
            if record.value in bad:
                raise error(f"secret text: {record.value!r}")
            yield from echo([record])

    return handle


def scripted(*answers: Exception | Callable[[Sequence[Record]], Iterable[Result]]) -> Handler:
    left = list(answers)

    def handle(records: Sequence[Record]) -> Iterable[Result]:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(records)

    return handle


def test_a_step_publishes_then_commits() -> None:
    bench = Bench(echo)
    bench.put(b"a", b"b")
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    assert bench.committed == 2
    assert bench.watcher.events == ["handled 2"]


def test_a_handler_that_returns_nothing_still_commits() -> None:
    bench = Bench(lambda records: [])
    bench.put(b"a")
    bench.loop.step()
    assert bench.committed == 1


def test_an_empty_poll_does_not_call_the_handler() -> None:
    bench = Bench(scripted())
    bench.loop.step()
    assert bench.watcher.events == []


@pytest.mark.promise("I9")
def test_publish_failure_leaves_the_offset_and_the_batch_is_sent_again_whole() -> None:
    bench = Bench(echo)
    bench.put(b"a", b"b")
    bench.producer.errors = [LogUnavailable("no answer")]
    bench.loop.step()
    assert bench.committed == 0
    assert bench.watcher.events == ["retried 2 after 1.0"]
    bench.clock.now += 1.0
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    assert bench.committed == 2


def test_a_fatal_publish_ends_the_loop_uncommitted() -> None:
    bench = Bench(echo)
    bench.put(b"a")
    bench.producer.errors = [Fatal("not authorised")]
    with pytest.raises(Fatal):
        bench.loop.step()
    assert bench.committed == 0


def test_retry_waits_pauses_and_handles_the_same_records_in_order() -> None:
    bench = Bench(scripted(Retry(5.0, "the store is down"), echo))
    bench.put(b"a", b"b", b"c")
    bench.loop.step()
    bench.clock.now += 4.9
    bench.loop.step()
    bench.loop.step()
    assert bench.watcher.events == ["retried 3 after 5.0"]
    assert not bench.loop.unready()
    assert bench.loop.live(max_age=1.0)  # it kept polling
    bench.clock.now += 0.2
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b", b"c"]
    assert bench.committed == 3
    assert bench.failures() == []


def test_retry_for_one_record_during_isolation_puts_the_whole_batch_back() -> None:
    bench = Bench(scripted(ValueError("a bug"), echo, Retry(1.0, "the store is down"), echo))
    bench.put(b"a", b"b")
    bench.loop.step()
    assert bench.committed == 0
    assert bench.written(OUT) == []
    bench.clock.now += 1.0
    bench.loop.step()
    assert bench.committed == 2


@pytest.mark.promise("I14")
def test_an_outage_is_never_a_dead_letter() -> None:
    bench = Bench(scripted(*(Retry(1.0, "down") for _ in range(200)), echo), breaker=Breaker(limit=5))
    bench.put(b"a")
    for _ in range(201):
        bench.loop.step()
        bench.clock.now += 1.0
    assert bench.committed == 1
    assert bench.failures() == []


def test_rejected_record_is_dead_lettered_and_offset_advances() -> None:
    bench = Bench(reject_all)
    bench.put(b"\x0a\x01t", headers=(("message", b"m"),))
    bench.loop.step()
    (failure,) = bench.failures()
    assert (failure.stage, failure.reason, failure.detail) == ("stage", REASON_EMPTY_TEXT, "the text is empty")
    assert (failure.topic, failure.key, failure.value) == (IN, KEY, b"\x0a\x01t")
    assert [(header.name, header.value) for header in failure.headers] == [("message", b"m")]
    assert bench.written(topics.FAILURES.name)[0].key == KEY
    assert bench.committed == 1
    assert bench.watcher.events == ["rejected 1", "handled 1"]


@pytest.mark.promise("I9")
def test_a_dead_letter_that_cannot_be_written_blocks_the_commit() -> None:
    bench = Bench(reject_all)
    bench.put(b"a")
    bench.producer.errors = [LogUnavailable("no answer")] * 3
    for _ in range(3):
        bench.loop.step()
        bench.clock.now += 1.0
        assert bench.committed == 0
    assert "rejected 1" not in bench.watcher.events
    bench.loop.step()
    assert bench.committed == 1
    assert len(bench.failures()) == 1


@pytest.mark.promise("I13")
def test_after_an_unexpected_exception_only_the_record_that_raises_again_is_rejected() -> None:
    bench = Bench(crash_on(b"bad"))
    bench.put(b"a", b"bad", b"b")
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    (failure,) = bench.failures()
    assert (failure.reason, failure.value, failure.attempts) == (REASON_HANDLER_CRASH, b"bad", 2)
    assert failure.detail == "ValueError in test_loop.py:handle"  # where, but none of its words
    assert bench.committed == 3
    assert bench.watcher.events == ["crashed 1 ValueError", "rejected 1", "handled 3"]


def test_a_panic_is_a_crash_of_its_record_and_no_end_of_the_loop() -> None:
    bench = Bench(crash_on(b"bad", error=PanicException))
    bench.put(b"a", b"bad", b"b")
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    assert bench.watcher.events == ["crashed 1 PanicException", "rejected 1", "handled 3"]


def test_an_interrupt_is_no_fault_of_a_record() -> None:
    bench = Bench(crash_on(b"bad", error=KeyboardInterrupt))
    bench.put(b"bad")
    with pytest.raises(KeyboardInterrupt):
        bench.loop.step()
    assert bench.failures() == []


def test_a_failure_that_does_not_repeat_alone_rejects_nothing() -> None:
    bench = Bench(scripted(ValueError("only together"), echo, echo))
    bench.put(b"a", b"b")
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    assert bench.failures() == []


def test_an_output_too_large_for_its_topic_rejects_its_record_alone() -> None:
    def grow(records: Sequence[Record]) -> list[Outgoing]:
        return [Outgoing(OUT, KEY, bytes(2 << 20) if record.value == b"big" else b"small") for record in records]

    bench = Bench(grow)
    bench.put(b"a", b"big", b"b")
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"small", b"small"]
    assert [(one.value, one.detail.split()[0]) for one in bench.failures()] == [(b"big", "TooLarge")]
    assert bench.committed == 3


@pytest.mark.parametrize("error", [Fatal("fenced"), DeadLetterLimitExceeded("enough")])
def test_a_fatal_error_of_the_handler_is_not_isolated(error: Exception) -> None:
    bench = Bench(scripted(error))
    bench.put(b"a")
    with pytest.raises(type(error)):
        bench.loop.step()
    assert bench.failures() == []


@pytest.mark.promise("I14")
def test_a_broken_handler_stops_at_the_limit_and_leaves_the_rest_in_the_log() -> None:
    def broken(records: Sequence[Record]) -> list[Outgoing]:
        raise KeyError("a bad deploy")

    bench = Bench(broken, max_records=10, breaker=Breaker(limit=50, window=1000))
    bench.put(*(b"%d" % number for number in range(200)))
    with pytest.raises(DeadLetterLimitExceeded, match="KeyError in"):
        bench.steps(20)
    assert len(bench.failures()) == bench.committed == 40


def test_records_that_were_sent_again_say_nothing_about_the_deploy() -> None:
    breaker = Breaker(limit=5, window=10)
    first = [Record("documents.v1", 0, offset, KEY, b"bad") for offset in range(4)]
    again = [replace(record, headers=(("replay", b"3"),)) for record in first]
    for records in (again * 9, first, again * 9):
        crashes = [Rejected(record, REASON_HANDLER_CRASH, "KeyError", crashes=2) for record in records]
        breaker.check(records, crashes)
        breaker.count(records, crashes)
    with pytest.raises(DeadLetterLimitExceeded):  # nor do they push out what others were
        breaker.check(first[:1], [Rejected(first[0], REASON_HANDLER_CRASH, "KeyError", crashes=2)])


def test_a_ratio_of_crashes_within_the_window_stops_the_loop_too() -> None:
    bad = {b"%d" % number for number in range(0, 2000, 10)}  # 10 %
    bench = Bench(crash_on(*bad), breaker=Breaker(limit=50, window=1000))
    bench.put(*(b"%d" % number for number in range(2000)))
    with pytest.raises(DeadLetterLimitExceeded):
        bench.steps(200)
    assert len(bench.failures()) == 49


def test_one_crash_in_a_hundred_never_stops_the_loop() -> None:
    bad = {b"%d" % number for number in range(0, 5000, 100)}
    bench = Bench(crash_on(*bad), breaker=Breaker(limit=50, window=1000))
    bench.put(*(b"%d" % number for number in range(5000)))
    while bench.committed < 5000:
        bench.loop.step()
    assert len(bench.failures()) == 50


def test_any_number_of_documents_refused_by_name_does_not_stop_the_loop() -> None:
    bench = Bench(reject_all, breaker=Breaker(limit=5, window=10))
    bench.put(*(b"%d" % number for number in range(100)))
    while bench.committed < 100:
        bench.loop.step()
    assert len(bench.failures()) == 100


def test_unreadable_records_count_towards_the_limit() -> None:
    def reject(records: Sequence[Record]) -> list[Rejected]:
        return [Rejected(record, REASON_ENVELOPE_UNREADABLE, "not an event") for record in records]

    bench = Bench(reject, max_records=1, breaker=Breaker(limit=5, window=10))
    bench.put(*(b"%d" % number for number in range(10)))
    with pytest.raises(DeadLetterLimitExceeded):
        bench.steps(10)
    assert bench.committed == 4


@pytest.mark.promise("I13")
def test_what_anyone_may_write_never_stops_the_loop_because_it_is_unreadable() -> None:
    records = [Record(topics.DOCUMENTS.name, 0, offset, b"k", b"garbage") for offset in range(2000)]
    breaker = Breaker()
    unreadable = [Rejected(record, REASON_ENVELOPE_UNREADABLE, "not an event") for record in records]
    breaker.check(records, unreadable)
    crashed = [Rejected(record, REASON_HANDLER_CRASH, "KeyError", crashes=1) for record in records]
    with pytest.raises(DeadLetterLimitExceeded):
        breaker.check(records, crashed)


def test_rejections_of_records_as_an_earlier_poll_brought_them_count_too() -> None:
    def reject(records: Sequence[Record]) -> list[Rejected]:
        return [Rejected(replace(record), REASON_ENVELOPE_UNREADABLE, "not an event") for record in records]

    bench = Bench(reject, max_records=1, breaker=Breaker(limit=5, window=10))
    bench.put(*(b"%d" % number for number in range(10)))
    with pytest.raises(DeadLetterLimitExceeded):
        bench.steps(10)
    assert bench.committed == 4


def test_documents_that_a_handler_contained_never_stop_the_loop() -> None:
    """Fifty files that kill a parser's process in one poll are an attack, not a deploy; and the restart would meet them again."""

    def contain(records: Sequence[Record]) -> list[Rejected]:
        return [Rejected(record, REASON_HANDLER_CRASH, "the parser's process died") for record in records]

    bench = Bench(contain, breaker=Breaker(limit=5, window=10))
    bench.put(*(b"%d" % number for number in range(20)))
    bench.steps(5)
    assert bench.committed == 20
    assert {failure.attempts for failure in bench.failures()} == {1}


def test_records_put_back_count_once_towards_the_limit() -> None:
    bench = Bench(crash_on(b"bad"), breaker=Breaker(limit=2, window=10))
    bench.put(b"bad")
    bench.producer.errors = [LogUnavailable("no answer")] * 5
    for _ in range(6):
        bench.loop.step()
        bench.clock.now += 1.0
    assert len(bench.failures()) == 1


def test_an_unknown_commit_is_reported_and_nothing_is_rewound() -> None:
    bench = Bench(echo, max_records=1)
    bench.put(b"a", b"b")
    group = bench.log.groups["stage"]
    bench.loop.step()
    bench.consumer.commit = lambda records: False  # type: ignore[method-assign]
    bench.loop.step()
    assert bench.watcher.events == ["handled 1", "handled 1", "commit unknown 1"]
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b"]
    assert sum(group.committed.values()) == 1


def test_an_unknown_commit_is_repeated_though_no_more_records_come() -> None:
    bench = Bench(echo)
    bench.put(b"a")
    commit = bench.consumer.commit
    bench.consumer.commit = lambda records: False  # type: ignore[method-assign]
    bench.loop.step()
    bench.consumer.commit = commit  # type: ignore[method-assign]
    bench.loop.step()
    assert bench.committed == 0  # not at once: who did not answer is not asked all the time
    bench.clock.now += COMMIT_RETRY
    bench.loop.step()
    assert bench.committed == 1
    assert [record.value for record in bench.written(OUT)] == [b"a"]


def test_what_was_not_committed_when_its_partition_left_is_the_next_owners_affair() -> None:
    """Committed later, when the partition has come back, it would take the group back to where the next owner was long before."""
    bench = Bench(echo)
    bench.put(b"a")
    consumer = bench.consumer
    held, commit = consumer.assignment, consumer.commit
    consumer.commit = lambda records: False  # type: ignore[method-assign]
    bench.loop.step()
    consumer.commit = commit  # type: ignore[method-assign]
    consumer.assignment = frozenset  # type: ignore[method-assign]
    bench.loop.step()
    consumer.assignment = held  # type: ignore[method-assign]
    bench.clock.now += COMMIT_RETRY
    bench.loop.step()
    assert bench.committed == 0


def test_a_record_of_the_dead_letter_topic_itself_is_dropped_not_nested() -> None:
    bench = Bench(echo)
    consumer = bench.log.consumer("watch", [topics.FAILURES.name])
    loop = Loop("watch", consumer, bench.producer, crash_on(b"x"), clock=bench.clock, poll_wait=0.0)
    bench.log.append(topics.FAILURES.name, KEY, b"x")
    loop.step()
    assert len(bench.written(topics.FAILURES.name)) == 1
    assert sum(bench.log.committed("watch", topics.FAILURES.name).values()) == 1


def test_among_several_records_each_output_continues_its_own_records_trace() -> None:
    bench = Bench(echo)
    bench.log.append(IN, b"one", b"1", (("traceparent", b"trace 1"), ("message", b"m")))
    bench.log.append(IN, b"one", b"2", ())
    bench.log.append(IN, b"two", b"3", (("traceparent", b"trace 3"),))
    bench.loop.step()
    traces = {record.value: dict(record.headers)["traceparent"] for record in bench.written(OUT)}
    assert traces == {b"1": b"trace 1", b"2": b"trace 1", b"3": b"trace 3"}


def test_a_lone_records_output_continues_the_step_and_an_own_trace_is_kept() -> None:
    def two(records: Sequence[Record]) -> list[Outgoing]:
        return [Outgoing(OUT, KEY, b"bare"), Outgoing(OUT, KEY, b"traced", (("traceparent", b"own"),))]

    bench = Bench(two)
    bench.put(b"a", headers=(("traceparent", b"incoming"),))
    bench.loop.step()
    traces = {record.value: record.headers for record in bench.written(OUT)}
    assert traces == {b"bare": (("traceparent", b"step"),), b"traced": (("traceparent", b"own"),)}


def test_an_output_at_its_topics_limit_cannot_be_pushed_over_it_by_a_trace() -> None:
    room = (
        topics.PASSAGES.max_message_bytes - sizes.size(Outgoing(OUT, KEY, b"")) - 70
    )  # lz4's share of 1 MiB, and a bit

    bench = Bench(lambda records: [Outgoing(OUT, KEY, bytes(room))])
    bench.put(b"a", headers=(("traceparent", b"x" * (1 << 20)),))
    bench.loop.step()
    assert bench.committed == 1
    assert [one.detail.split()[0] for one in bench.failures()] == ["TooLarge"]


def test_a_dead_letter_carries_a_trace() -> None:
    bench = Bench(reject_all)
    bench.put(b"a")
    bench.loop.step()
    assert ("traceparent", b"step") in bench.written(topics.FAILURES.name)[0].headers


def test_lag_is_reported_once_a_second_with_the_oldest_unfinished_record() -> None:
    bench = Bench(scripted(Retry(10.0, "down"), echo), max_records=2)
    bench.put(b"a", b"b", b"c")
    bench.clock.now += 1.0
    bench.loop.step()
    bench.loop.step()
    assert bench.watcher.lags == [(1, 1_000_000)]
    bench.clock.now += 1.0
    bench.loop.step()  # paused: still waiting for the same record
    assert bench.watcher.lags[1:] == [(3, 1_000_000)]


def test_ready_once_it_holds_partitions_and_live_while_it_polls() -> None:
    bench = Bench(echo)
    assert bench.loop.unready()
    bench.loop.step()
    assert not bench.loop.unready()
    bench.clock.now += 60
    assert bench.loop.live(max_age=60)
    bench.clock.now += 1
    assert not bench.loop.live(max_age=60)
    bench.loop.step()
    assert bench.loop.live(max_age=60)


def test_run_finishes_and_commits_the_current_step_then_closes() -> None:
    stop = threading.Event()

    def handle(records: Sequence[Record]) -> list[Outgoing]:
        stop.set()
        return echo(records)

    bench = Bench(handle, max_records=1)
    bench.put(b"a", b"b")
    bench.loop.run(stop)
    assert bench.committed == 1
    assert bench.producer.closed
    assert bench.consumer.assignment() == frozenset()


def test_what_was_handled_before_a_partition_was_away_is_not_committed_over_what_others_did() -> None:
    waits = [Retry(1, "not durable yet")]

    def flush() -> None:
        if waits:
            raise waits.pop()

    bench = Bench(echo, flush=flush)
    bench.put(b"a")
    bench.loop.step()
    assert bench.committed == 0
    bench.consumer.close()  # it was silent for too long: another member takes over, and goes further
    bench.put(b"b")
    other = bench.log.consumer("stage", [IN], max_records=10)
    records = other.poll(0)
    assert len(records) == 2
    assert other.commit(records)
    other.close()
    bench.clock.now += 10
    bench.loop.step()
    assert bench.committed == 2


def test_isolation_that_takes_too_long_puts_the_rest_back() -> None:
    def handle(records: Sequence[Record]) -> list[Outgoing]:
        if len(records) > 1:
            raise ValueError
        bench.clock.now += 50
        return echo(records)

    bench = Bench(handle)
    bench.put(b"a", b"b", b"c", b"d", b"e")
    bench.loop.step()
    assert (bench.committed, bench.watcher.events) == (3, ["handled 3"])
    bench.loop.step()
    assert [record.value for record in bench.written(OUT)] == [b"a", b"b", b"c", b"d", b"e"]
    assert bench.committed == 5


def test_run_closes_and_raises_what_no_step_survives() -> None:
    bench = Bench(scripted(Fatal("gone")))
    bench.put(b"a")
    with pytest.raises(Fatal):
        bench.loop.run(threading.Event())
    assert bench.producer.closed
    assert bench.consumer.assignment() == frozenset()


def test_commits_may_wait_while_records_come_and_flush_first() -> None:
    log = MemoryLog()
    log.ensure_topics(topics.ALL)
    done: list[str] = []
    now = [0.0]

    def flush() -> None:
        done.append(f"flush at {sum(log.committed('stage', IN).values())}")
        if len(done) == 2:
            raise Retry(1.0, "the disk is full")

    loop = Loop(
        "stage",
        log.consumer("stage", [IN], max_records=1),
        log.producer(),
        lambda records: [],
        clock=lambda: now[0],
        poll_wait=0.0,
        flush=flush,
        commit_seconds=5.0,
    )
    for number in range(4):
        log.append(IN, b"k", str(number).encode())
    loop.step()
    assert done == []  # too early: records keep coming
    now[0] = 6.0
    loop.step()
    assert (done, sum(log.committed("stage", IN).values())) == (["flush at 0"], 2)
    loop.step()
    loop.step()
    loop.step()  # idle: at once, but the flush fails
    assert (len(done), sum(log.committed("stage", IN).values())) == (2, 2)
    loop.step()
    assert len(done) == 2  # not before the time it asked for
    now[0] += 1.0
    loop.step()
    assert (done[-1], sum(log.committed("stage", IN).values())) == ("flush at 2", 4)


def test_a_flush_that_fails_is_told_and_shows_as_lag_until_it_succeeds() -> None:
    errors = [Retry(5.0, "the disk is full")] * 2

    def flush() -> None:
        if errors:
            raise errors.pop()

    bench = Bench(echo, flush=flush)
    stamp = int(bench.clock.now * 1000)
    bench.put(b"a", b"b")
    for _ in range(8):
        bench.loop.step()
        bench.clock.now += 2.0
    assert bench.watcher.events == ["handled 2", "retried 1 after 5.0", "retried 1 after 5.0"]
    assert set(bench.watcher.lags[1:-1]) == {(0, stamp)}
    assert (bench.watcher.lags[-1], bench.committed) == ((0, None), 2)
