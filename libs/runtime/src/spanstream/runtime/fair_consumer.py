"""A consumer that reads ahead and hands records out tenant by tenant, so that what one tenant has piled up in the log
holds nobody else up within what was read.
"""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from spanstream.eventlog.log import Consumer, Log, Record, Slot
from spanstream.runtime.fair_queue import FairQueue

QUANTUM = 1024  # bytes of a tenant's turn: one short document; of longer ones each takes several rounds
LEAST_COST = 1024  # bytes that any record counts as at least: a delete is work too


@dataclass(frozen=True, slots=True)
class Ahead:
    """How much one consumer reads ahead: no more is fetched while as many records, or bytes, wait; one poll comes on top."""

    records: int = 1000
    bytes: int = 32 << 20


class FairConsumer:
    """A `Consumer` around another one: each poll gives the tenants equal shares of bytes, by deficit round robin.

    Records of one key stay in order, because a tenant's do. What is committed of a partition ends before the first
    record that is not finished, so nothing is skipped: what was finished beyond it is repeated after a crash, as the
    port allows. What comes back by `rewind` is handed out first, before other turns.
    """

    def __init__(self, inner: Consumer, max_records: int, ahead: Ahead) -> None:
        """`max_records` of a poll; `inner` may give more at once."""
        self._inner = inner
        self._max_records = max_records
        self._ahead = ahead
        self._queue: FairQueue[Record] = FairQueue(QUANTUM)
        self._bytes = 0  # of the queue's records
        self._again: list[Record] = []  # came back
        self._given: dict[Slot, list[Record]] = {}  # handed out and not committed, in that order
        self._open: dict[Slot, dict[int, Record]] = {}  # read and not finished, by rising offset
        self._read: dict[Slot, Record] = {}  # the last one read
        self._kept: dict[Slot, int] = {}  # offset of the last record below the position
        self._taken: frozenset[Slot] = frozenset()  # since the last question
        self._paused = self._full = False

    @classmethod
    def over(cls, log: Log, group: str, topics: Sequence[str], max_records: int, ahead: Ahead) -> FairConsumer:
        """A new member of `group`."""
        return cls(log.consumer(group, topics, max_records=ahead.records), max_records, ahead)

    def poll(self, wait: float) -> Sequence[Record]:
        self._throttle()
        idle = self._paused or not (self._queue or self._again)
        fresh = self._inner.poll(wait if idle else 0.0)  # also while full: polling keeps the membership
        came = self._inner.taken()
        self._taken |= came
        self._forget((self._read.keys() - self._inner.assignment()) | came)
        for record in fresh:
            self._kept.setdefault(record.slot, record.offset - 1)
            self._open.setdefault(record.slot, {})[record.offset] = record
            self._read[record.slot] = record
            self._bytes += _cost(record)
            # By partition in turn: what is committed of each waits for the oldest record of whoever has most.
            self._queue.put(_tenant(record), record, _cost(record), record.slot)
        if self._paused:
            return []
        batch, self._again = self._again[: self._max_records], self._again[self._max_records :]
        while not self._again and len(batch) < self._max_records and self._queue:
            batch.append(record := self._queue.take())
            self._bytes -= _cost(record)
        batch.sort(key=attrgetter("place"))
        for record in batch:
            self._given.setdefault(record.slot, []).append(record)
        return batch

    def rewind(self, records: Sequence[Record]) -> None:
        back = {record.place for record in records}
        for slot in dict.fromkeys(record.slot for record in records):
            given = self._given.get(slot, [])
            self._again += [one for one in given if one.place in back]
            self._given[slot] = [one for one in given if one.place not in back]
        self._again.sort(key=attrgetter("place"))

    def pause(self) -> None:
        self._paused = True
        self._inner.pause()

    def resume(self) -> None:
        self._paused = False
        if not self._full:
            self._inner.resume()

    def commit(self, records: Sequence[Record]) -> bool:
        for record in records:  # finished with it is what was handed out of its partition before it
            slot = record.slot
            given = self._given.get(slot, [])
            count = given.index(record) + 1 if record in given else 0
            for one in given[:count]:
                self._open[slot].pop(one.offset)
            self._given[slot] = given[count:]
        # Where the position stays, nothing is written: it would take away the note that the partition was begun.
        slots = dict.fromkeys(record.slot for record in records)
        moved = [end for slot in slots if (end := self._end(slot)) and end.offset != self._kept.get(slot)]
        if moved and not self._inner.commit(moved):
            return False
        self._kept |= {end.slot: end.offset for end in moved}
        return True

    def begin(self, records: Sequence[Record]) -> Mapping[Slot, int]:
        # Noted at the position, which is that of the oldest record that is not finished, not of the first handed out.
        slots = dict.fromkeys(record.slot for record in records)
        oldest = [next(iter(left.values())) for slot in slots if (left := self._open.get(slot))]
        return self._inner.begin(oldest)

    def assignment(self) -> frozenset[Slot]:
        return self._inner.assignment()

    def taken(self) -> frozenset[Slot]:
        taken, self._taken = self._taken, frozenset()
        return taken

    def lag(self) -> Mapping[Slot, int]:
        lag = dict(self._inner.lag())
        for record in [*self._queue, *self._again]:
            lag[record.slot] = lag.get(record.slot, 0) + 1
        return lag

    def close(self) -> None:
        self._inner.close()

    def _end(self, slot: Slot) -> Record | None:
        """The last of the partition's records below which all are finished."""
        if slot not in self._read:
            return None
        first = next(iter(self._open.get(slot, {}).values()), None)
        return self._read[slot] if first is None else replace(first, offset=first.offset - 1)

    def _throttle(self) -> None:
        full = len(self._queue) >= self._ahead.records or self._bytes >= self._ahead.bytes
        if full and not self._full:
            self._inner.pause()
        elif self._full and not full and not self._paused:
            self._inner.resume()
        self._full = full

    def _forget(self, slots: set[Slot]) -> None:
        """What was read of these partitions; whoever has them now reads it again."""
        if not slots:
            return
        for slot in slots:
            for known in (self._open, self._read, self._given, self._kept):
                known.pop(slot, None)
        self._again = [one for one in self._again if one.slot not in slots]
        self._queue.keep(lambda record: record.slot not in slots)
        self._bytes = sum(map(_cost, self._queue))


def _tenant(record: Record) -> str:
    return (record.key or b"").partition(b"/")[0].decode("latin-1")


def _cost(record: Record) -> int:
    return max(LEAST_COST, len(record.value or b""))
