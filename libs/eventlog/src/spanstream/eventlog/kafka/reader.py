"""Reading a topic of Kafka without a group."""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from spanstream.eventlog.errors import Fatal
from spanstream.eventlog.kafka.client import CLOSE_SECONDS, CONSUMER, as_record, connection, translated
from spanstream.eventlog.log import Record


class Reader:
    """See the port."""

    def __init__(self, brokers: Mapping[str, Any], topic: str, positions: Mapping[int, int], max_records: int) -> None:
        self._max_records = max_records
        try:
            self._client = KafkaConsumer(
                **connection(brokers), client_id="spanstream-reader", bootstrap_timeout_ms=5_000, **CONSUMER
            )
        except KafkaError as error:
            raise translated(error) from error
        try:
            partitions = self._client.partitions_for_topic(topic)
            if not partitions:
                raise Fatal(f"there is no topic {topic}")
            self._slots = [TopicPartition(topic, partition) for partition in sorted(partitions)]
            self._client.assign(self._slots)
            ends = self._client.end_offsets(self._slots)
            self._next = {slot: min(positions.get(slot.partition, ends[slot]), ends[slot]) for slot in self._slots}
            self._seek_what_is_left()
        except BaseException as error:
            self.close()
            if isinstance(error, KafkaError):
                raise translated(error) from error
            raise

    def poll(self, wait: float) -> Sequence[Record]:
        try:
            batches = self._polled(wait)
        except KafkaError as error:
            if error.retriable:
                return []
            raise translated(error) from error
        self._next |= {slot: batch[-1].offset + 1 for slot, batch in batches.items()}
        return [as_record(one) for batch in batches.values() for one in batch]

    def positions(self) -> Mapping[int, int]:
        return {slot.partition: offset for slot, offset in self._next.items()}

    def close(self) -> None:
        self._client.close(autocommit=False, timeout_ms=int(CLOSE_SECONDS * 1000))

    def _polled(self, wait: float) -> dict[TopicPartition, list[Any]]:
        try:
            found: dict[TopicPartition, list[Any]] = self._client.poll(
                timeout_ms=max(1, int(wait * 1000)), max_records=self._max_records
            )
        except (OffsetOutOfRangeError, LogTruncationError):
            self._seek_what_is_left()
            return {}
        return found

    def _seek_what_is_left(self) -> None:
        oldest = self._client.beginning_offsets(self._slots)
        for slot in self._slots:
            self._next[slot] = max(self._next[slot], oldest[slot])
            self._client.seek(slot, self._next[slot])
