"""Fills a generation beside the live one, and keeps it current: one consumer of documents.v1, which is kept for ever.

    1 dead letters of the services go to the new heads as to the live ones, so that after the switch nobody asks in vain
    2 leave out events that a live head has outrun: what came later is in the log, and is seen in its turn. So nothing that was
      erased is written once more, be it for a moment
    3 parse and cut, 4 embed with the new release, 5 index: the services' own handlers, one after another, in memory

The order of versions makes doing it again change nothing, and lets live updates come at any time: it runs as the
services do, after the switch too. Nothing is published. What it rejects is noted on the heads of the new generation.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Consumer, Log, Outgoing, Position, Record, Rejected, Slot
from spanstream.eventlog.loop import Handler
from spanstream.eventlog.observer import Silent
from spanstream.events import codec
from spanstream.events.codec import reason_name
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.store.errors import StoreUnavailable
from spanstream.store.points import Head, State

TOPICS = (DOCUMENTS.name, FAILURES.name)
RETRY_SECONDS = 1.0
PORTION_BYTES = 256 << 10  # of texts whose vectors are in memory at once
Heads = Callable[[Sequence[Key]], Mapping[Key, Head]]


class Backfill:
    """A handler of the consumer loop; what it returns are rejections."""

    def __init__(self, parse: Handler, embed: Handler, index: Handler, live: Heads) -> None:
        """`live`: heads of the generation that the services fill."""
        self._parse, self._embed, self._index, self._live = parse, embed, index, live
        self.lock = threading.Lock()  # held while records are handled

    def __call__(self, records: Sequence[Record]) -> list[Rejected]:
        """Raises Retry while anything around it does not answer."""
        with self.lock:
            failures = [record for record in records if record.topic == FAILURES.name]
            rejected = list(_sorted(self._index(failures))[1]) if failures else []  # 1
            wanted = self._wanted([record for record in records if record.topic == DOCUMENTS.name])  # 2
            passages, wrong = _sorted(self._parse(wanted), PASSAGES.name)  # 3
            rejected += wrong
            for portion in _portions(passages):
                while portion:
                    embeddings, wrong = _sorted(self._embed(portion), EMBEDDINGS.name)  # 4
                    rejected += wrong
                    portion, wrong = _sorted(self._index(embeddings), PASSAGES.name)  # 5
                    rejected += wrong
            return rejected

    def _wanted(self, records: Sequence[Record]) -> list[Record]:
        events = [codec.envelope(record.topic, record.value) for record in records]
        keys = [None if event is None else Key(event.tenant, event.source, event.id) for event in events]
        try:
            heads = self._live(list(dict.fromkeys(key for key in keys if key)))
        except StoreUnavailable as error:
            raise Retry(RETRY_SECONDS, str(error)) from error

        def outrun(event: DocumentEvent | PassageEvent | None, head: Head | None) -> bool:
            if event is None or head is None:
                return False
            erased = head.state is State.DELETED and event.operation != OPERATION_DELETE
            return head.version > event.version or (erased and head.version == event.version)

        return [
            record
            for record, event, key in zip(records, events, keys, strict=True)
            if not outrun(event, heads.get(key) if key else None)
        ]


def _portions(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The same in their order, about PORTION_BYTES at once: vectors of long documents are many times their texts."""
    portion: list[Record] = []
    size = 0
    for record in records:
        if portion and size + len(record.value or b"") > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(record)
        size += len(record.value or b"")
    if portion:
        yield portion


# The handlers remember by its place what they have done of a record when a poll is put back: no two may have the same.
_places = itertools.count()


def _sorted(results: Iterable[object], topic: str = "") -> tuple[list[Record], list[Rejected]]:
    """The messages for a topic, as if they had been read from it, and the rejections. Matches and the like are not ours to tell."""
    records: list[Record] = []
    rejected: list[Rejected] = []
    for result in results:
        if isinstance(result, Rejected):
            rejected.append(result)
        elif isinstance(result, Outgoing) and result.topic == topic:
            records.append(Record(topic, 0, next(_places), result.key, result.value, result.headers))
    return records, rejected


class Noting:
    """The loop's producer: a dead letter is noted on the heads of the new generation, and on no topic."""

    def __init__(self, index: Handler) -> None:
        self._index = index

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        """Raises what the index does."""
        records, _ = _sorted(messages, FAILURES.name)
        if records:
            list(self._index(records))
        return [Position(message.topic, 0, 0) for message in messages]

    def close(self) -> None:
        """Nothing to close."""


class Paced:
    """A consumer that hands out at most so many records a second: what the live services need comes first."""

    def __init__(
        self,
        consumer: Consumer,
        rate: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate()`: records a second; 0: as many as there are."""
        self._consumer, self._rate, self._clock = consumer, rate, clock
        self._due = clock()
        self._waits = self._paused = False  # for its time, and by whoever polls

    def poll(self, wait: float) -> Sequence[Record]:
        """Nothing until what was handed out has taken its time: meanwhile it polls while paused, so that it stays a member."""
        left = self._due - self._clock() if self._rate() else 0.0
        if left > 0:
            self._waits = True
            self._consumer.pause()
            return self._consumer.poll(min(wait, left))
        if self._waits and not self._paused:
            self._consumer.resume()
        self._waits = False
        records = self._consumer.poll(wait)
        if rate := self._rate():
            self._due = self._clock() + len(records) / rate
        return records

    def rewind(self, records: Sequence[Record]) -> None:
        """As the port."""
        self._consumer.rewind(records)

    def pause(self) -> None:
        """As the port."""
        self._paused = True
        self._consumer.pause()

    def resume(self) -> None:
        """As the port."""
        self._paused = False
        self._consumer.resume()

    def commit(self, records: Sequence[Record]) -> bool:
        """As the port."""
        return self._consumer.commit(records)

    def begin(self, records: Sequence[Record]) -> Mapping[Slot, int]:
        """As the port."""
        return self._consumer.begin(records)

    def assignment(self) -> frozenset[Slot]:
        """As the port."""
        return self._consumer.assignment()

    def taken(self) -> frozenset[Slot]:
        """As the port."""
        return self._consumer.taken()

    def lag(self) -> Mapping[Slot, int]:
        """As the port."""
        return self._consumer.lag()

    def close(self) -> None:
        """As the port."""
        self._consumer.close()


class Progress(Silent):
    """What became of the records: how far it is, and why it waits. Written by the loop's thread, read by any."""

    def __init__(self, log: Log, group: str) -> None:
        """It goes on where the group has committed."""
        self._log = log
        self._handled = dict(log.committed(group, DOCUMENTS.name))
        self.begun = sum(self._handled.values())
        self.failed: Counter[str] = Counter()
        self.waits_for = ""

    def handled(self, records: Sequence[Record]) -> None:
        """They are in the new generation."""
        self.waits_for = ""
        for record in records:
            if record.topic == DOCUMENTS.name:
                self._handled[record.partition] = record.offset + 1

    def rejected(self, rejections: Sequence[Rejected]) -> None:
        """They are noted on its heads."""
        self.failed.update(reason_name(one.reason) for one in rejections)

    def retried(self, records: Sequence[Record], wait: Retry) -> None:
        """Something does not answer."""
        self.waits_for = str(wait)

    @property
    def events(self) -> int:
        """Of documents.v1 that are behind it."""
        return sum(self._handled.values())

    def behind(self, ends: Mapping[int, int]) -> int:
        """Events up to these ends that are still before it."""
        return sum(max(0, end - self._handled.get(partition, 0)) for partition, end in ends.items())
