"""What a loop reports: metrics by group, log lines without content, and traces that cross the log."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from spanstream.eventlog.errors import LogUnavailable, Retry
from spanstream.eventlog.log import Outgoing, Position, Producer, Record, Rejected
from spanstream.eventlog.loop import Handler, Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.events.v1.failure_pb2 import REASON_EMPTY_TEXT
from spanstream.runtime import tracing
from spanstream.runtime.consumer import ConsumerObserver

IN, OUT = topics.DOCUMENTS.name, topics.PASSAGES.name


@pytest.fixture
def group() -> str:
    """A name of its own per test: metrics belong to the process."""
    return f"group-{uuid.uuid4().hex}"


@pytest.fixture(scope="module", autouse=True)
def traced() -> None:
    tracing.configure("test")


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def loop_of(log: MemoryLog, group: str, handle: Handler, topic: str = IN) -> Loop:
    log.ensure_topics(topics.ALL)
    observer = ConsumerObserver(group, clock=lambda: 130.0)
    return Loop(group, log.consumer(group, [topic]), log.producer(), handle, observer=observer, poll_wait=0.0)


def forward(records: Sequence[Record]) -> list[Outgoing]:
    return [Outgoing(OUT, record.key or b"", record.value or b"") for record in records]


def test_records_batches_and_time_are_counted_by_group(group: str) -> None:
    log = MemoryLog()
    loop = loop_of(log, group, forward)
    for number in range(3):
        log.append(IN, b"k", b"%d" % number)
    loop.step()
    assert sample("consumer_records_total", group=group, topic=IN) == 3
    assert sample("consumer_batch_records_sum", group=group) == 3
    assert sample("consumer_step_seconds_count", group=group) == 1


def test_messages_are_counted_once_they_are_acknowledged(group: str) -> None:
    class Down(MemoryLog):
        up = False

        def producer(self) -> Producer:
            inner, down = super().producer(), self

            class Sometimes:
                def publish(self, messages: Sequence[Outgoing], deadline: float = 1.0) -> list[Position]:
                    if not down.up:
                        raise LogUnavailable("down")
                    return inner.publish(messages, deadline)

                def close(self) -> None: ...

            return Sometimes()

    log, now = Down(), 0.0
    log.ensure_topics(topics.ALL)
    loop = Loop(
        group,
        log.consumer(group, [IN]),
        log.producer(),
        forward,
        observer=ConsumerObserver(group),
        clock=lambda: now,
        poll_wait=0.0,
    )
    log.append(IN, b"k", b"v")
    loop.step()
    assert sample("consumer_messages_published_total", group=group, topic=OUT) is None
    log.up, now = True, 10.0
    loop.step()
    assert sample("consumer_messages_published_total", group=group, topic=OUT) == 1


def test_rejections_are_counted_by_reason_and_logged_without_content(group: str) -> None:
    log = MemoryLog()
    loop = loop_of(
        log, group, lambda records: [Rejected(one, REASON_EMPTY_TEXT, "the text is empty") for one in records]
    )
    log.append(IN, b"key of it", b"text of it")
    with capture_logs() as lines:
        loop.step()
    assert sample("consumer_records_failed_total", group=group, reason="EMPTY_TEXT") == 1
    (line,) = [line for line in lines if line["event"] == "record_rejected"]
    assert (line["topic"], line["offset"], line["reason"]) == (IN, 0, "EMPTY_TEXT")
    assert "of it" not in str(lines)


def test_a_crash_is_logged_with_its_place_but_not_its_words(group: str) -> None:
    def crash(records: Sequence[Record]) -> list[Outgoing]:
        raise ValueError(f"cannot read {records[0].value!r}")

    log = MemoryLog()
    loop = loop_of(log, group, crash)
    log.append(IN, b"k", b"text of it")
    with capture_logs() as lines:
        loop.step()
    (line,) = [line for line in lines if line["event"] == "handler_crashed"]
    assert line["error"] == "ValueError"
    assert any("test_consumer.py" in frame and "crash" in frame for frame in line["frames"])
    assert "of it" not in str(lines)
    assert sample("consumer_records_failed_total", group=group, reason="HANDLER_CRASH") == 1


def test_retries_and_unknown_commits_are_counted(group: str) -> None:
    observer = ConsumerObserver(group)
    record = Record(IN, 0, 0, b"k", b"v")
    observer.retried([record], Retry(1.0, "the store is down"))
    observer.commit_unknown([record])
    assert sample("consumer_retries_total", group=group) == 1
    assert sample("consumer_commits_unknown_total", group=group) == 1


def test_lag_is_summed_over_the_loops_that_share_the_observer_and_aged_by_the_oldest(group: str) -> None:
    observer = ConsumerObserver(group, clock=lambda: 130.0)
    observer.lag(5, 100_000)
    other = threading.Thread(target=lambda: observer.lag(7, 120_000))
    other.start()
    other.join()
    assert sample("consumer_lag_records", group=group) == 12
    assert sample("consumer_lag_seconds", group=group) == 30
    observer.lag(0, None)
    assert sample("consumer_lag_records", group=group) == 7
    assert sample("consumer_lag_seconds", group=group) == 10


def test_a_trace_crosses_two_stages(group: str) -> None:
    log = MemoryLog()
    first = loop_of(log, group, forward)
    second = loop_of(log, group + "-next", lambda records: [], topic=OUT)
    with tracing.server_span("PUT", {}):
        traceparent = tracing.current()["traceparent"]
    log.append(IN, b"k", b"v", (("traceparent", traceparent.encode()),))
    first.step()
    (passed,) = [record for records in log.topics[OUT] for record in records]
    onward = dict(passed.headers)["traceparent"].decode()
    assert onward.split("-")[1] == traceparent.split("-")[1]  # the same trace
    assert onward.split("-")[2] != traceparent.split("-")[2]  # a span of the stage
    second.step()


def test_several_records_in_one_batch_keep_their_own_traces(group: str) -> None:
    log = MemoryLog()
    loop = loop_of(log, group, forward)
    sent = {}
    for key in (b"one", b"two"):
        with tracing.server_span("PUT", {}):
            sent[key] = tracing.current()["traceparent"].encode()
        log.append(IN, key, b"v", (("traceparent", sent[key]),))
    loop.step()
    passed = {one.key: dict(one.headers)["traceparent"] for records in log.topics[OUT] for one in records}
    assert passed == sent
