"""What the consumer loop reports, as metrics, log lines and trace spans."""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Headers, Outgoing, Record, Rejected
from spanstream.events.codec import reason_name
from spanstream.events.topics import ALL
from spanstream.events.v1.failure_pb2 import Reason
from spanstream.runtime import metrics, tracing
from spanstream.runtime.logs import frames, get_logger

log = get_logger()


class ConsumerObserver:
    """Watches the loops of one group in this process: share one among them, or their lag gauges overwrite each other."""

    def __init__(self, group: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970, to age records."""
        self._group = group
        self._clock = clock
        self._lock = threading.Lock()
        self._lags: dict[int, tuple[int, float]] = {}  # thread -> records, seconds
        reads = [topic.name for topic in ALL if group in topic.consumers]
        metrics.from_zero(metrics.CONSUMER_RECORDS, [group], reads)
        metrics.from_zero(metrics.CONSUMER_FAILED, [group], map(reason_name, Reason.values()))
        for metric in (metrics.CONSUMER_RETRIES, metrics.CONSUMER_COMMIT_UNKNOWN):
            metrics.from_zero(metric, [group])

    @contextmanager
    def step(self, records: Sequence[Record]) -> Iterator[None]:
        first = records[0]
        bound = structlog.contextvars.bound_contextvars(
            service=self._group, topic=first.topic, partition=first.partition, offset=first.offset
        )
        metrics.CONSUMER_BATCH.labels(self._group).observe(len(records))
        span = tracing.batch_span(f"{self._group} step", [record.headers for record in records])
        with bound, span, metrics.CONSUMER_STEP_SECONDS.labels(self._group).time():
            yield

    def trace(self) -> Headers:
        return tuple((name, value.encode()) for name, value in tracing.current().items())

    def published(self, messages: Sequence[Outgoing]) -> None:
        for topic, count in Counter(message.topic for message in messages).items():
            metrics.CONSUMER_PUBLISHED.labels(self._group, topic).inc(count)

    def handled(self, records: Sequence[Record]) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            metrics.CONSUMER_RECORDS.labels(self._group, topic).inc(count)

    def crashed(self, record: Record, error: BaseException) -> None:
        log.error("handler_crashed", error=type(error).__name__, frames=frames(error), **_place(record))

    def rejected(self, rejections: Sequence[Rejected]) -> None:
        for one in rejections:
            reason = reason_name(one.reason)
            metrics.CONSUMER_FAILED.labels(self._group, reason).inc()
            log.warning("record_rejected", reason=reason, detail=one.detail, **_place(one.record))

    def retried(self, records: Sequence[Record], wait: Retry) -> None:
        metrics.CONSUMER_RETRIES.labels(self._group).inc()
        log.warning("batch_put_back", records=len(records), seconds=wait.after, reason=str(wait))

    def commit_unknown(self, records: Sequence[Record]) -> None:
        metrics.CONSUMER_COMMIT_UNKNOWN.labels(self._group).inc()
        log.warning("commit_unknown", records=len(records))

    def lag(self, records: int, oldest_ms: int | None) -> None:
        seconds = 0.0 if oldest_ms is None else max(0.0, self._clock() - oldest_ms / 1000)
        with self._lock:
            self._lags[threading.get_ident()] = (records, seconds)
            lags = list(self._lags.values())
        metrics.CONSUMER_LAG_RECORDS.labels(self._group).set(sum(records for records, _ in lags))
        metrics.CONSUMER_LAG_SECONDS.labels(self._group).set(max(seconds for _, seconds in lags))


def _place(record: Record) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
