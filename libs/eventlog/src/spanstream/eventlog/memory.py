"""The log in memory: partitions, groups and committed offsets of one process. Keeps everything; thread-safe.

It rebalances as Kafka's cooperative protocol does: a partition moves only once its owner has polled again or closed,
so two members never hold it at the same time.
"""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from spanstream.eventlog import sizes
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable
from spanstream.eventlog.log import Headers, Outgoing, Position, Record, Slot
from spanstream.eventlog.partitions import partition_of
from spanstream.events.topics import Topic


@dataclass(slots=True)
class _Group:
    members: list[MemoryConsumer] = field(default_factory=list)
    owners: dict[Slot, MemoryConsumer] = field(default_factory=dict)
    committed: dict[Slot, int] = field(default_factory=dict)
    begun: dict[Slot, int] = field(default_factory=dict)  # how often, since the last commit


class MemoryLog:
    """A cluster in this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` stamps records, in seconds since 1970."""
        self._clock = clock
        self._identity = uuid.uuid4().hex
        self.changed = threading.Condition()  # guards everything below; notified on every append and rebalance
        self.topics: dict[str, list[list[Record]]] = {}
        self.groups: dict[str, _Group] = {}
        self._kept: dict[str, float | None] = {}

    def ensure_topics(self, topics: Sequence[Topic]) -> list[str]:
        with self.changed:
            missing = [topic for topic in topics if topic.name not in self.topics]
            self._kept |= {each.name: None if each.retention_ms < 0 else each.retention_ms / 1000 for each in missing}
            self.topics |= {topic.name: [[] for _ in range(topic.partitions)] for topic in missing}
            self.changed.notify_all()
        return [topic.name for topic in missing]

    def consumer(self, group: str, topics: Sequence[str], *, max_records: int = 64) -> MemoryConsumer:
        with self.changed:
            return MemoryConsumer(self, self.groups.setdefault(group, _Group()), topics, max_records)

    def reader(self, topic: str, positions: Mapping[int, int], *, max_records: int = 64) -> MemoryReader:
        ends = self.end_offsets(topic)
        start = {partition: min(positions.get(partition, end), end) for partition, end in ends.items()}
        return MemoryReader(self, topic, start, max_records)

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self)

    def end_offsets(self, topic: str) -> dict[int, int]:
        with self.changed:
            return {partition: len(records) for partition, records in enumerate(self._partitions(topic))}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        with self.changed:
            known = self.groups.setdefault(group, _Group()).committed
            return {partition: known.get((topic, partition), 0) for partition in range(len(self._partitions(topic)))}

    def move(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        with self.changed:
            known = self.groups.setdefault(group, _Group())
            if known.members:
                raise EventLogError(f"group {group} cannot be moved while it has members")
            known.committed |= {(topic, partition): offset for partition, offset in positions.items()}

    def identity(self) -> str:
        return self._identity

    def kept(self, topic: str) -> float | None:
        return self._kept[topic]  # by its own word: nothing is ever forgotten

    def skip_lost(self, group: str) -> dict[Slot, int]:
        return {}  # nothing is ever forgotten

    def unready(self) -> list[str]:
        return []

    def close(self) -> None:
        """Keeps what was written: whoever holds the log may go on."""

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Position:
        """Write one record as a foreign producer may: without a key (then to partition 0) or without a value."""
        with self.changed:
            if topic not in self.topics:
                raise LogUnavailable(f"there is no topic {topic}")
            partitions = self.topics[topic]
            partition = 0 if key is None else partition_of(key, len(partitions))
            offset = len(partitions[partition])
            stamp = int(self._clock() * 1000)
            partitions[partition].append(Record(topic, partition, offset, key, value, headers, stamp))
            self.changed.notify_all()
        return Position(topic, partition, offset)

    def _partitions(self, topic: str) -> list[list[Record]]:
        if topic not in self.topics:
            raise Fatal(f"there is no topic {topic}")
        return self.topics[topic]


class MemoryProducer:
    """Appends to a MemoryLog."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        sizes.check(messages)
        return [self._log.append(m.topic, m.key, m.value, m.headers) for m in messages]

    def close(self) -> None:
        """Nothing is held back, so there is nothing to flush."""


class MemoryReader:
    """Reads a topic of a MemoryLog without a group."""

    def __init__(self, log: MemoryLog, topic: str, positions: dict[int, int], max_records: int) -> None:
        self._log = log
        self._topic = topic
        self._positions = positions
        self._max_records = max_records

    def poll(self, wait: float) -> Sequence[Record]:
        with self._log.changed:
            return self._log.changed.wait_for(self._take, wait)

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    def close(self) -> None:
        """Holds nothing."""

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        for partition, records in enumerate(self._log.topics[self._topic]):
            offset = self._positions[partition]
            part = records[offset : offset + self._max_records - len(taken)]
            self._positions[partition] = offset + len(part)
            taken += part
        return taken


class MemoryConsumer:
    """A member of a group on a MemoryLog."""

    def __init__(self, log: MemoryLog, group: _Group, topics: Sequence[str], max_records: int) -> None:
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._max_records = max_records
        self._positions: dict[Slot, int] = {}  # the partitions held now, and the offset each is read from next
        self._paused = False
        self._taken: set[Slot] = set()

    def poll(self, wait: float) -> Sequence[Record]:
        with self._log.changed:
            if self not in self._group.members:
                self._group.members.append(self)
                self._log.changed.notify_all()
            taken: list[Record] = []

            def some() -> bool:
                self._rebalance()
                taken.extend(self._take())
                return bool(taken)

            self._log.changed.wait_for(some, wait)
            return taken

    def rewind(self, records: Sequence[Record]) -> None:
        with self._log.changed:
            for record in reversed(records):  # so that the first of each partition is set last
                if record.slot in self._positions:
                    self._positions[record.slot] = record.offset

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self, records: Sequence[Record]) -> bool:
        with self._log.changed:
            offsets = {record.slot: record.offset + 1 for record in records}
            if not all(self._group.owners.get(slot) is self for slot in offsets):
                return False
            self._group.committed |= offsets
            for slot in offsets:
                self._group.begun.pop(slot, None)
            return True

    def begin(self, records: Sequence[Record]) -> Mapping[Slot, int]:
        with self._log.changed:
            slots = {record.slot for record in records}
            for slot in slots:
                self._group.begun[slot] = self._group.begun.get(slot, 0) + 1
            return {slot: self._group.begun[slot] for slot in slots}

    def assignment(self) -> frozenset[Slot]:
        with self._log.changed:
            return frozenset(self._positions)

    def taken(self) -> frozenset[Slot]:
        with self._log.changed:
            taken, self._taken = frozenset(self._taken), set()
            return taken

    def lag(self) -> Mapping[Slot, int]:
        with self._log.changed:
            return {slot: len(self._records(slot)) - offset for slot, offset in self._positions.items()}

    def close(self) -> None:
        with self._log.changed:
            if self in self._group.members:
                self._group.members.remove(self)
            self._group.owners = {slot: owner for slot, owner in self._group.owners.items() if owner is not self}
            self._positions = {}
            self._log.changed.notify_all()

    def _records(self, slot: Slot) -> list[Record]:
        topic, partition = slot
        return self._log.topics[topic][partition]

    def _rebalance(self) -> None:
        """Give up what is meant for another member, then take what is meant for this one and free."""
        owners, members = self._group.owners, self._group.members
        meant: set[Slot] = set()
        for number, topic in enumerate(self._topics):  # as in Kafka a number of two topics may go to two members
            subscribed = [member for member in members if topic in member._topics]
            first = (subscribed.index(self) + number) % len(subscribed)
            share = range(first, len(self._log.topics.get(topic, ())), len(subscribed))
            meant |= {(topic, partition) for partition in share}
        for slot in self._positions.keys() - meant:
            del self._positions[slot], owners[slot]
            self._log.changed.notify_all()
        for slot in sorted(meant - owners.keys()):
            owners[slot] = self
            self._positions[slot] = self._group.committed.get(slot, 0)
            self._taken.add(slot)

    def _take(self) -> list[Record]:
        if self._paused:
            return []
        taken: list[Record] = []
        for slot in list(self._positions):
            if len(taken) == self._max_records:
                break
            offset = self._positions.pop(slot)
            records = self._records(slot)[offset : offset + self._max_records - len(taken)]
            self._positions[slot] = offset + len(records)  # moves to the end: the next poll begins with others
            taken += records
        return taken
