"""The log port: what the services may assume of Kafka, and nothing else.

Delivery is at least once: a record is seen again after a crash between handling and `commit`. Records of one key are
in one partition, in the order in which they were published. One thread owns a consumer; a producer is thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spanstream.events.topics import Topic
from spanstream.events.v1.failure_pb2 import Reason

Headers = tuple[tuple[str, bytes], ...]
Slot = tuple[str, int]  # a partition: its topic and number


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read. `timestamp_ms`: when the log took it, by its own clock; or what the writer said, in a topic that was
    made otherwise than by `ensure_topics`.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(default=(), repr=False)
    timestamp_ms: int = 0

    @property
    def slot(self) -> Slot:
        """The partition that it is in."""
        return self.topic, self.partition

    @property
    def place(self) -> tuple[str, int, int]:
        """What tells it from all others of the log, also where it is read again."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. The partition follows from the key alone."""

    topic: str
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    headers: Headers = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that can never be processed, and why. `detail` is one sentence without any of the document's text.

    `crashes`: how often it alone was seen to break what works for other records; any at all counts for the breaker.
    """

    record: Record
    reason: Reason
    detail: str
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a published message came to lie."""

    topic: str
    partition: int
    offset: int


class Consumer(Protocol):
    """A member of a consumer group, reading committed positions; owned by one thread."""

    def poll(self, wait: float) -> Sequence[Record]:
        """Up to `max_records` records, waiting at most `wait` seconds; joins the group on first use. While paused: none.

        A group that has committed nothing starts at the oldest record. Raises PositionGone where it has, and that record
        is gone.
        """
        ...

    def rewind(self, records: Sequence[Record]) -> None:
        """Read these again: each partition goes back to its first offset among `records`."""
        ...

    def pause(self) -> None:
        """Stop fetching on every assigned partition; polling keeps the membership."""
        ...

    def resume(self) -> None:
        """Fetch again on everything that is paused."""
        ...

    def commit(self, records: Sequence[Record]) -> bool:
        """Commit the last offset + 1 per partition, synchronously; whether it is known to have happened.

        False means «unknown» (lost generation, timeout): count it and go on, the records may be seen again.
        """
        ...

    def begin(self, records: Sequence[Record]) -> Mapping[Slot, int]:
        """Note at the committed position of each record's partition that it is begun; how often it has been, this time
        included, without a commit since. `records` are the first that were read of their partitions.

        What cannot be noted or asked counts as the first time.
        """
        ...

    def assignment(self) -> frozenset[Slot]:
        """The partitions held now; empty before the first join."""
        ...

    def taken(self) -> frozenset[Slot]:
        """Of these, those that came since this was last asked, and may have been held before: meanwhile another member
        may have handled what was read of them, and more, so that nothing read before is to be committed.
        """
        ...

    def lag(self) -> Mapping[Slot, int]:
        """Records between position and end, per assigned partition, as far as the last fetch knew."""
        ...

    def close(self) -> None:
        """Leave the group; idempotent. Commits nothing."""
        ...


class Reader(Protocol):
    """Reads a topic without a group: it commits nothing, and others read the same. One thread at a time."""

    def poll(self, wait: float) -> Sequence[Record]:
        """Up to `max_records` records, waiting at most `wait` seconds. What is no longer there is passed over."""
        ...

    def positions(self) -> Mapping[int, int]:
        """Partition -> offset that is read next, for every partition."""
        ...

    def close(self) -> None:
        """Close the connections; idempotent."""
        ...


class Producer(Protocol):
    """Publishes with acks=all; thread-safe."""

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        """Publish and wait until every message is durable; positions in order.

        Raises TooLarge before anything is sent if any message exceeds its topic's limit; LogUnavailable if any is
        not acknowledged within `deadline` seconds (some may have been written); Fatal if the producer is unusable.
        """
        ...

    def close(self) -> None:
        """Flush and close; idempotent."""
        ...


class Log(Protocol):
    """A cluster."""

    def ensure_topics(self, topics: Sequence[Topic]) -> list[str]:
        """Create the topics that are missing; returns their names. Existing topics are left as they are."""
        ...

    def consumer(self, group: str, topics: Sequence[str], *, max_records: int = 64) -> Consumer:
        """A new member of `group`; nothing is fetched before its first poll."""
        ...

    def reader(self, topic: str, positions: Mapping[int, int], *, max_records: int = 64) -> Reader:
        """Reads each partition from `positions`, from what is written from now on where they have none.

        A position whose record is gone is the oldest that is left; one beyond the end is the end. Asks the cluster:
        raises LogUnavailable.
        """
        ...

    def producer(self) -> Producer:
        """A new producer."""
        ...

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Partition -> offset of the next record to be written."""
        ...

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Partition -> offset the group reads next; 0 where it has committed nothing."""
        ...

    def move(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Let a group without members read these partitions from these offsets next; EventLogError while it has any."""
        ...

    def identity(self) -> str:
        """Names the cluster: another one has another name, whatever its address."""
        ...

    def kept(self, topic: str) -> float | None:
        """Seconds after which a record that is written now is gone, whatever else happens; None: it may stay for ever."""
        ...

    def skip_lost(self, group: str) -> dict[Slot, int]:
        """Let a group without members go on where records are left; by (topic, partition) how many it will never read.

        Moves only positions that a poll would answer with PositionGone; 0 where the log was cut below a position.
        """
        ...

    def unready(self) -> list[str]:
        """Why the cluster does not answer now, in words (a short, bounded question); nothing: it does."""
        ...

    def close(self) -> None:
        """Close the cluster connection; idempotent. Consumers and producers are closed by their owners."""
        ...
