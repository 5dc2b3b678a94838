"""Members of Kafka's consumer groups."""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from spanstream.eventlog.errors import LogUnavailable, PositionGone
from spanstream.eventlog.kafka.client import CLOSE_SECONDS, CONSUMER, as_record, connection, translated
from spanstream.eventlog.log import Record, Slot

log = logging.getLogger(__name__)

COMMIT_TIMEOUT = 10.0  # seconds
_BEGUN = re.compile(r"a=([0-9]{1,6})")  # what `begin` notes beside an offset


class _Taken(ConsumerRebalanceListener):  # type: ignore[misc]
    """Told by the client within a poll."""

    def __init__(self, next_offsets: dict[TopicPartition, int]) -> None:
        self.slots: set[TopicPartition] = set()
        self._next = next_offsets

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Those that were not held before; or that were, and others have gone on meanwhile."""
        for slot in assigned:
            self.slots.add(slot)
            self._next.pop(slot, None)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """`assignment` says so."""


class Consumer:
    """A member of a Kafka consumer group, under a name; `before` is called before it joins, and may raise LogUnavailable."""

    def __init__(
        self,
        brokers: Mapping[str, Any],
        group: str,
        topics: Sequence[str],
        max_records: int,
        name: str,
        before: Callable[[], None],
    ) -> None:
        self._brokers = brokers
        self._name = name
        self._before = before
        self._group = group
        self._topics = list(topics)
        self._max_records = max_records
        self._client: KafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}
        self._taken = _Taken(self._next)
        self._paused = False

    def poll(self, wait: float) -> Sequence[Record]:
        deadline = time.monotonic() + wait
        try:
            client = self._connected()
            _go_on_joining(client)
            batches = client.poll(timeout_ms=max(1, int(wait * 1000)), max_records=self._max_records)
        except NoOffsetForPartitionError as error:  # the group has committed nothing there yet
            client.seek_to_beginning(*error.args[0])
            return self.poll(max(0.0, deadline - time.monotonic()))
        except (OffsetOutOfRangeError, LogTruncationError) as error:
            slots = error.divergent_offsets if isinstance(error, LogTruncationError) else error.args[0]
            places = ", ".join(f"{slot.topic}/{slot.partition}" for slot in sorted(slots))
            raise PositionGone(
                f"group {self._group}: the log no longer holds what comes next in {places}: retention was faster than"
                " this group, or the log was cut. Let it go on with `spanstream topics skip`, then ingest again what was lost"
            ) from error
        except LogUnavailable:  # nothing was asked that would have waited
            time.sleep(max(0.0, deadline - time.monotonic()))
            return []
        except KafkaError as error:
            if error.retriable:
                return []
            raise translated(error) from error
        records = [as_record(one) for batch in batches.values() for one in batch]
        if self._paused and records:  # partitions that came in a rebalance arrive unpaused
            self.rewind(records)
            self.pause()
            return []
        self._next |= {slot: batch[-1].offset + 1 for slot, batch in batches.items()}
        return records

    def rewind(self, records: Sequence[Record]) -> None:
        held = self._held()
        for record in reversed(records):  # so that the first of each partition is set last
            slot = TopicPartition(*record.slot)
            if slot in held:  # else it moved, and its new owner reads from the committed offset
                self._connected().seek(slot, record.offset)
                self._next[slot] = record.offset

    def pause(self) -> None:
        self._paused = True
        if self._client is not None:
            self._client.pause(*self._held())

    def resume(self) -> None:
        self._paused = False
        if self._client is not None:
            self._client.resume(*self._client.paused())

    def commit(self, records: Sequence[Record]) -> bool:
        offsets = {TopicPartition(*one.slot): OffsetAndMetadata(one.offset + 1, "", -1) for one in records}
        try:
            self._connected().commit(offsets, timeout_ms=int(COMMIT_TIMEOUT * 1000))
        except AuthorizationError as error:
            raise translated(error) from error
        except KafkaError as error:
            log.warning("commit of group %s is unknown: %s", self._group, type(error).__name__)
            return False
        return True

    def begin(self, records: Sequence[Record]) -> Mapping[Slot, int]:
        counts, notes = {}, {}
        try:
            for record in records:
                slot = TopicPartition(*record.slot)
                known = self._connected().committed(slot, metadata=True, timeout_ms=int(COMMIT_TIMEOUT * 1000))
                before = known is not None and known.offset == record.offset and _BEGUN.fullmatch(known.metadata or "")
                counts[record.slot] = count = int(before[1]) + 1 if before else 1
                notes[slot] = OffsetAndMetadata(record.offset, f"a={count}", -1)
            self._connected().commit(notes, timeout_ms=int(COMMIT_TIMEOUT * 1000))
        except AuthorizationError as error:
            raise translated(error) from error
        except KafkaError as error:
            log.warning("begin of group %s is unknown: %s", self._group, type(error).__name__)
        return {record.slot: 1 for record in records} | counts

    def assignment(self) -> frozenset[Slot]:
        return frozenset((slot.topic, slot.partition) for slot in self._held())

    def taken(self) -> frozenset[Slot]:
        slots, self._taken.slots = self._taken.slots, set()
        return frozenset((slot.topic, slot.partition) for slot in slots)

    def lag(self) -> Mapping[Slot, int]:
        lag = {}
        for slot in self._held():
            end = self._connected().highwater(slot)
            if end is not None:
                lag[slot.topic, slot.partition] = max(0, end - self._next.get(slot, end))
        return lag

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close(autocommit=False, timeout_ms=int(CLOSE_SECONDS * 1000))

    def _connected(self) -> KafkaConsumer:
        if self._client is None:
            self._before()
            client = KafkaConsumer(
                **connection(self._brokers),
                group_id=self._group,
                client_id=self._name,
                bootstrap_timeout_ms=5_000,
                **CONSUMER,
            )
            client.subscribe(self._topics, listener=self._taken)
            for topic in self._topics:  # a leader that joins before it knows the topics assigns nothing, then again
                client.partitions_for_topic(topic)
            self._client = client
        return self._client

    def _held(self) -> set[TopicPartition]:
        return set(self._client.assignment()) if self._client is not None else set()


def _go_on_joining(client: KafkaConsumer) -> None:
    """Let the next poll take the answer to a join that another one began and had no time for.

    kafka-python 3.0.12 forgets such a join if a change of metadata was what began it: its reason to join is gone as
    soon as the leader has assigned, nobody takes the answer, and the member sits without partitions for ever. And one
    that ended between two polls it begins anew: a member that always works, and never waits in a poll, keeps its group
    rebalancing for as long, and those that joined without partitions.
    """
    coordinator = client._coordinator
    if coordinator.rebalance_in_progress():
        coordinator.request_rejoin()
    if coordinator._join_task is not None:
        coordinator._join_task = _Join(coordinator._join_task)


class _Join:
    """A join that is to be waited for, whether it has ended or not."""

    is_done = False

    def __init__(self, future: Any) -> None:
        self.add_callback = future.add_callback  # called at once where it has ended
        self.add_errback = future.add_errback
