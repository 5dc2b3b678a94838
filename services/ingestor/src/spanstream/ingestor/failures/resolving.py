"""Sends the records of dead letters again, or discards them, and says so in the log.

A replay is the record first, then the resolution: a crash between the two leaves the dead letter open, and its record
is sent once more. That changes nothing, nor does any order of replays, because the index compares versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from spanstream.eventlog.log import Log, Outgoing, Producer, Record
from spanstream.events import codec
from spanstream.events.topics import FAILURES
from spanstream.events.v1.failure_pb2 import RESOLUTION_DISCARDED, RESOLUTION_REPLAYED, FailureEvent, Resolution
from spanstream.ingestor.failures.again import again
from spanstream.ingestor.failures.following import POLL_SECONDS, RECORDS, Following
from spanstream.ingestor.failures.letter import Letter, opened
from spanstream.runtime import metrics

SLICE_SECONDS = 2.0  # of one call, so that callers take turns and a person sees progress
BATCH_SECONDS = 0.1  # of the rate: what is sent at once
PUBLISH_SECONDS = 10.0

T = TypeVar("T")


class Resolving:
    """One thread at a time: so the rates of all callers never add up."""

    def __init__(
        self,
        log: Log,
        producer: Producer,
        following: Following,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock` counts seconds; `now_us`: microseconds since 1970."""
        self._log = log
        self._producer = producer
        self._following = following
        self._clock = clock
        self._sleep = sleep
        self._now_us = now_us

    def replay(self, letters: Sequence[Letter], rate: float) -> int:
        """Send their records again, `rate` a second, for SLICE_SECONDS at most; how many. The others stay open.

        Raises the log's errors: some may have been sent all the same.
        """
        if not letters:
            return 0
        began, sent = self._clock(), 0
        waiting = {letter.place: letter for letter in letters}
        first = dict(sorted(waiting, reverse=True))  # the smallest offset of each partition comes last, and stays
        reader = self._log.reader(FAILURES.name, first, max_records=RECORDS)
        try:
            while waiting and self._clock() - began < SLICE_SECONDS:
                found = [
                    (waiting.pop(place), record)
                    for record in reader.poll(POLL_SECONDS)
                    if (place := (record.partition, record.offset)) in waiting
                ]
                for batch in _batches(found, max(1, int(rate * BATCH_SECONDS))):
                    if self._clock() - began >= SLICE_SECONDS:
                        return sent
                    sent += self._send(batch)
                    self._sleep(max(0.0, began + sent / rate - self._clock()))
                positions = reader.positions()
                gone = [place for place in waiting if positions[place[0]] > place[1]]
                self._following.remove([waiting.pop(place) for place in gone])  # the log holds them no more
        finally:
            reader.close()
        return sent

    def discard(self, letters: Sequence[Letter]) -> int:
        """Note that nothing more is to be done about them; how many. Raises the log's errors."""
        for batch in _batches(letters, RECORDS):
            self._resolve(batch, RESOLUTION_DISCARDED)
        return len(letters)

    def _send(self, batch: Sequence[tuple[Letter, Record]]) -> int:
        found = [(letter, opened(record)) for letter, record in batch]
        same = {letter: each[0] for letter, each in found if each is not None and each[1] == letter}
        self._following.remove({letter for letter, _ in batch} - same.keys())  # the topic is another
        messages = [again(event) for event in same.values()]
        self._producer.publish([message for message in messages if message is not None], PUBLISH_SECONDS)
        self._resolve(list(same), RESOLUTION_REPLAYED)
        return len(same)

    def _resolve(self, letters: Sequence[Letter], kind: Resolution) -> None:
        self._producer.publish([_resolution(letter, kind, self._now_us()) for letter in letters], PUBLISH_SECONDS)
        self._following.remove(letters)
        name = Resolution.Name(kind).removeprefix("RESOLUTION_").lower()
        metrics.INGESTOR_FAILURES_RESOLVED.labels(name).inc(len(letters))


def _resolution(letter: Letter, kind: Resolution, now_us: int) -> Outgoing:
    event = FailureEvent(
        topic=letter.origin.topic,
        partition=letter.origin.partition,
        offset=letter.origin.offset,
        failed_at_us=letter.failed_at_us,
        resolution=kind,
        resolved_at_us=now_us,
    )
    return Outgoing(FAILURES.name, letter.key.encode(), event.SerializeToString(), codec.headers(event))


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
