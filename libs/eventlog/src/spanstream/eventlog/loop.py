"""The consumer loop: the whole at-least-once story, top to bottom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from spanstream.eventlog import sizes, traces
from spanstream.eventlog.breaker import Breaker
from spanstream.eventlog.dead_letters import crash, dead_letter
from spanstream.eventlog.errors import Fatal, LogUnavailable, Retry
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.eventlog.log import Consumer, Outgoing, Producer, Record, Rejected, Slot
from spanstream.eventlog.observer import Observer, Silent
from spanstream.events.v1.failure_pb2 import REASON_HANDLER_CRASH

Result = Outgoing | Rejected
Handler = Callable[[Sequence[Record]], Iterable[Result]]

POLL_WAIT = 0.2  # seconds: how long a stop request may go unnoticed; records end the wait at once
PUBLISH_DEADLINE = 30.0  # seconds
PUBLISH_RETRY = 1.0  # seconds until a batch that the log did not acknowledge is handled again
COMMIT_RETRY = 1.0  # seconds until offsets whose commit is unknown are committed again
SOLO_FROM = 2  # how often a partition is begun without an end until its next records are handled one by one
SOLO_RECORDS = 64  # of it, at least a poll's: whichever killed the process was among those that it had
CHILDREN = 2  # that may die of a record until it is rejected
LAG_INTERVAL = 1.0  # seconds between two reports of the lag


class Loop:
    """Reads, handles, publishes, commits. It owns its consumer and its producer, and closes both.

    `handle` gets the records of one poll, in order per key, and returns values: messages to publish, or records to
    reject with a reason. It raises `Retry` when the world is wrong for now. Anything else it raises is a bug: the
    records are then handled one by one, once, and those that raise again are rejected with HANDLER_CRASH. Once the poll
    has taken POLL_SECONDS, those that were not handled yet are put back.
    """

    def __init__(
        self,
        group: str,
        consumer: Consumer,
        producer: Producer,
        handle: Handler,
        *,
        observer: Observer | None = None,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
        poll_wait: float = POLL_WAIT,
        flush: Callable[[], None] | None = None,
        commit_seconds: float = 0.0,
        survives: Callable[[Record], bool] | None = None,
    ) -> None:
        """`group` names the stage in dead letters; `clock` counts seconds.

        `flush` makes effects durable and runs before each commit; while records keep coming a commit waits until
        `commit_seconds` have passed since the last. It may raise Retry: then the commit waits as long, and the lag's age
        counts from what was handled.

        `survives` says whether a child process survives a record. With it, records that kill the
        process are found: a partition that was begun before and not brought on is handled record by record, a commit after
        each, and one that two children have died of is rejected with HANDLER_CRASH.
        """
        self._group = group
        self._consumer = consumer
        self._producer = producer
        self._handle = handle
        self._observer = observer or Silent()
        self._breaker = breaker or Breaker()
        self._clock = clock
        self._poll_wait = poll_wait
        self._last_poll = clock()
        self._assigned = False
        self._resume_at: float | None = None
        self._oldest_ms: int | None = None  # of the records that were put back
        self._lag_at = clock()
        self._flush = flush
        self._commit_seconds = commit_seconds
        self._committed_at = clock()
        self._uncommitted: dict[Slot, Record] = {}  # the last record handled per partition
        self._survives = survives
        self._begun: dict[Slot, int] = {}  # records still to be handled alone, of each partition begun
        self._commit_at = clock()  # not before: later than now after a flush or a commit that failed
        self._unflushed_ms: int | None = None  # of the oldest record that the flush which failed is about

    def run(self, stop: threading.Event) -> None:
        """Step until `stop`; the current step finishes and commits. Raises what no step may survive."""
        try:
            while not stop.is_set():
                self.step()
            self._commit()
        finally:
            self._consumer.close()
            self._producer.close()

    def step(self) -> None:
        """1 resume, 2 poll, 3 handle, 4 publish, 5 commit: always in this order. Between two polls nothing is in flight.

        With `commit_seconds` some steps leave out 5, and a later one commits for them too.
        """
        self._resume_if_due()  # 1
        records = self._consumer.poll(self._wait())  # 2 the assignment changes here and nowhere else
        self._last_poll = self._clock()  #   live() compares this stamp with now
        held = self._consumer.assignment()
        self._assigned = bool(held)
        held -= self._consumer.taken()  # what was read of these before is not ours to commit, even if they were
        self._uncommitted = {slot: record for slot, record in self._uncommitted.items() if slot in held}
        self._begun = {slot: left for slot, left in self._begun.items() if slot in held}
        self._report_lag(records)
        if not records:
            self._commit()
            return
        records, solo = self._begin(records)
        with self._observer.step(records):
            try:
                done, results = (
                    self._apply_solo(records) if solo else self._apply(records)
                )  # 3 materialised inside the guard
                rejections = [result for result in results if isinstance(result, Rejected)]
                self._breaker.check(done, rejections)
                self._publish(done, results)  # 4 outputs and dead letters, each acknowledged
            except Retry as wait:
                self._put_back(records, wait)
                return
            except LogUnavailable as error:  # perhaps half-sent: sent again whole, with the same keys and ids
                self._put_back(records, Retry(PUBLISH_RETRY, str(error)))
                return
            self._consumer.rewind(records[len(done) :])
            self._breaker.count(done, rejections)
            if rejections:
                self._observer.rejected(rejections)
            self._observer.published([result for result in results if isinstance(result, Outgoing)])
            self._observer.handled(done)
            if solo:
                self._begun[records[0].slot] -= 1
            self._uncommitted |= {record.slot: record for record in done}
            if solo or self._clock() - self._committed_at >= self._commit_seconds:
                self._commit()  # 5

    def _commit(self) -> None:
        """Last offset + 1 of each partition, synchronously, once the effects are durable."""
        records = list(self._uncommitted.values())
        if not records:
            self._unflushed_ms = None
        if not records or self._clock() < self._commit_at:
            return
        self._committed_at = self._clock()
        try:
            if self._flush is not None:
                self._flush()
        except Retry as wait:  # handled, but not durable
            self._commit_at = self._clock() + wait.after
            self._unflushed_ms = self._unflushed_ms or min(record.timestamp_ms for record in records)
            self._observer.retried(records, wait)
            return
        self._unflushed_ms = None
        if self._consumer.commit(records):
            self._uncommitted = {}
        else:  # of the last records before a silence the group would lag until others come
            self._commit_at = self._clock() + COMMIT_RETRY
            self._observer.commit_unknown(records)

    def unready(self) -> list[str]:
        """Why it reads nothing, if it holds no partitions; callable from any thread."""
        return [] if self._assigned else ["no partition is assigned to it yet"]

    def live(self, max_age: float) -> bool:
        """Whether it polled within `max_age` seconds, which must exceed the longest batch; callable from any thread."""
        return self._clock() - self._last_poll <= max_age

    def _begin(self, records: Sequence[Record]) -> tuple[Sequence[Record], bool]:
        """Those to be handled now: all, or the first of a partition on which the process may have died before, alone."""
        if self._survives is None:
            return records, False
        first: dict[Slot, Record] = {}
        for record in records:
            first.setdefault(record.slot, record)
        if new := [record for slot, record in first.items() if slot not in self._begun]:
            counts = self._consumer.begin(new)
            # More each time: what kills may lie behind others that are tried again.
            self._begun |= {slot: SOLO_RECORDS * max(0, count - SOLO_FROM + 1) for slot, count in counts.items()}
        suspect = next((slot for slot in first if self._begun.get(slot)), None)
        if suspect is None:
            return records, False
        self._consumer.rewind([record for record in records if record is not first[suspect]])
        return [first[suspect]], True

    def _apply_solo(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Result]]:
        """As `_apply`, for one record, once a child has survived it."""
        assert self._survives is not None
        if any(self._survives(records[0]) for _ in range(CHILDREN)):
            return self._apply(records)
        return records, [
            Rejected(records[0], REASON_HANDLER_CRASH, "the process dies of this record", crashes=CHILDREN)
        ]

    def _apply(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Result]]:
        """The records handled, all or the first of them, and what became of them."""
        try:
            return records, self._checked(records)
        except (Retry, LogUnavailable, Fatal):
            raise
        except BaseException as error:  # isolation: whose fault it is shows one by one
            if not _of_the_handler(error):
                raise
            return self._isolated(records)

    def _isolated(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Result]]:
        results: list[Result] = []
        for count, record in enumerate(records):
            if count and self._clock() - self._last_poll >= POLL_SECONDS:
                return records[:count], results
            results += self._alone(record)
        return records, results

    def _alone(self, record: Record) -> list[Result]:
        try:
            return self._checked([record])
        except (Retry, LogUnavailable, Fatal):
            raise
        except BaseException as error:  # isolation
            if not _of_the_handler(error):
                raise
            self._observer.crashed(record, error)
            return [crash(record, error)]

    def _checked(self, records: Sequence[Record]) -> list[Result]:
        """The handler's results; an output too large for its topic is the handler's fault, so it is found here."""
        results = list(self._handle(records))
        sizes.check([result for result in results if isinstance(result, Outgoing)], traces.RESERVE)
        return results

    def _publish(self, records: Sequence[Record], results: Sequence[Result]) -> None:
        now_us = time.time_ns() // 1000
        messages = [
            dead_letter(result, stage=self._group, failed_at_us=now_us) if isinstance(result, Rejected) else result
            for result in results
        ]
        traced = traces.carry(records, [one for one in messages if one is not None], self._observer.trace())
        if traced:
            self._producer.publish(traced, PUBLISH_DEADLINE)

    def _put_back(self, records: Sequence[Record], wait: Retry) -> None:
        self._consumer.rewind(records)
        self._consumer.pause()  # while paused the loop keeps polling, so that it stays a member
        self._resume_at = self._clock() + wait.after
        self._oldest_ms = min(record.timestamp_ms for record in records)
        self._observer.retried(records, wait)

    def _resume_if_due(self) -> None:
        if self._resume_at is not None and self._clock() >= self._resume_at:
            self._resume_at = None
            self._oldest_ms = None
            self._consumer.resume()

    def _wait(self) -> float:
        if self._resume_at is None:
            return self._poll_wait
        return min(self._poll_wait, max(0.0, self._resume_at - self._clock()))

    def _report_lag(self, records: Sequence[Record]) -> None:
        if self._clock() - self._lag_at < LAG_INTERVAL:
            return
        self._lag_at = self._clock()
        stamps = [*(record.timestamp_ms for record in records), self._oldest_ms, self._unflushed_ms]
        oldest = min((stamp for stamp in stamps if stamp is not None), default=None)
        self._observer.lag(sum(self._consumer.lag().values()), oldest)


def _of_the_handler(error: BaseException) -> bool:
    """Whether a record may be to blame. A panic in a library written in Rust is no Exception, and would end the service
    at the same record after every start.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
