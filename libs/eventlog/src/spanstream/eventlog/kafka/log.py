"""A Kafka cluster as the log.

Nothing is connected before its first use, so that a service can be built while the brokers are still starting.
"""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove
from kafka.errors import KafkaError, NoError

from spanstream.eventlog.access import OPEN, Access
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable
from spanstream.eventlog.kafka.client import ADMIN, brokers, connection, translated
from spanstream.eventlog.kafka.consumer import Consumer
from spanstream.eventlog.kafka.producer import Producer
from spanstream.eventlog.kafka.reader import Reader
from spanstream.eventlog.log import Slot
from spanstream.events.topics import Topic

RETENTION_CHECK_SECONDS = 600.0  # the broker looks every 300 s by default, and takes a minute to delete the files


class KafkaLog:
    """A Kafka cluster."""

    def __init__(self, servers: Sequence[str], access: Access = OPEN) -> None:
        """`servers` are "host:port" of some of its brokers."""
        self._brokers = brokers(servers, access)
        self._member = access.member
        self._succeeded: set[str] = set()  # groups without members of an earlier process of our name
        self._succeeding = threading.Lock()
        self._lock = threading.Lock()
        self._client: KafkaAdminClient | None = None

    def ensure_topics(self, topics: Sequence[Topic]) -> list[str]:
        with self._admin() as admin:
            existing = set(admin.list_topics())
            missing = {topic.name: _new_topic(topic) for topic in topics if topic.name not in existing}
            if missing:
                admin.create_topics(missing, wait_for_metadata=True)
        return list(missing)

    def consumer(self, group: str, topics: Sequence[str], *, max_records: int = 64) -> Consumer:
        name = f"spanstream-{group}" if self._member is None else f"spanstream-{group}@{self._member}"
        return Consumer(self._brokers, group, topics, max_records, name, lambda: self._succeed(group, name))

    def reader(self, topic: str, positions: Mapping[int, int], *, max_records: int = 64) -> Reader:
        return Reader(self._brokers, topic, positions, max_records)

    def producer(self) -> Producer:
        return Producer(self._brokers)

    def end_offsets(self, topic: str) -> dict[int, int]:
        with self._admin() as admin:
            latest = dict.fromkeys(_partitions(admin, topic), OffsetSpec.LATEST)
            offsets = admin.list_partition_offsets(latest)
        return {slot.partition: offset.offset for slot, offset in sorted(offsets.items())}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        with self._admin() as admin:
            slots = _partitions(admin, topic)
            offsets = admin.list_group_offsets({group: slots})[group]
        return {slot.partition: max(0, offsets[slot].offset) if slot in offsets else 0 for slot in slots}

    def move(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        with self._admin() as admin:
            _move(admin, group, {TopicPartition(topic, partition): offset for partition, offset in positions.items()})

    def identity(self) -> str:
        with self._admin() as admin:
            return str(admin.describe_cluster()["cluster_id"])

    def kept(self, topic: str) -> float | None:
        with self._admin() as admin:
            asked = ConfigResource(ConfigResourceType.TOPIC, topic)
            ((_, found),) = admin.describe_configs([asked], config_filter="all")["topic"].items()
        values = {name: str(each["value"]) for name, each in found.items()}
        if "retention.ms" not in values:
            raise Fatal(f"the brokers do not tell the configuration of topic {topic}")
        retention = int(values["retention.ms"])
        if retention < 0 or values["cleanup.policy"] != "delete":
            return None
        # Whole segments go, once their newest record is old enough; they end after so long at the latest.
        return (retention + int(values["segment.ms"])) / 1000 + RETENTION_CHECK_SECONDS

    def skip_lost(self, group: str) -> dict[Slot, int]:
        with self._admin() as admin:
            positions = {
                slot: at.offset for slot, at in admin.list_group_offsets(group)[group].items() if at.offset >= 0
            }
            oldest = admin.list_partition_offsets(dict.fromkeys(positions, OffsetSpec.EARLIEST))
            newest = admin.list_partition_offsets(dict.fromkeys(positions, OffsetSpec.LATEST))
            held = {
                slot: min(max(position, oldest[slot].offset), newest[slot].offset)
                for slot, position in positions.items()
            }
            moved = {slot: offset for slot, offset in held.items() if offset != positions[slot]}
            _move(admin, group, moved)
        return {(slot.topic, slot.partition): max(0, offset - positions[slot]) for slot, offset in moved.items()}

    def unready(self) -> list[str]:
        try:
            with self._admin() as admin:
                admin.describe_cluster()
        except EventLogError as error:
            return [str(error)]
        return []

    def close(self) -> None:
        with self._lock:
            self._discard()

    def evict_members(self, groups: Sequence[str]) -> None:
        """Remove every member of these groups: those alive rejoin, those of a killed process stop holding it up.

        Raises LogUnavailable while the brokers have not loaded the groups yet.
        """
        self._evict(groups, None)

    def _succeed(self, group: str, name: str) -> None:
        """Before this process's first member of a group joins: remove those that a killed process of the same name left.

        Else their partitions would stand still until their sessions time out. Raises LogUnavailable.
        """
        with self._succeeding:  # once: later members of this process have the same name
            if self._member is not None and group not in self._succeeded:
                self._evict([group], name)
                self._succeeded.add(group)

    def _evict(self, groups: Sequence[str], name: str | None) -> None:
        with self._admin() as admin:
            for group, description in admin.describe_groups(list(groups)).items():
                if "Coordinator" in (description["error"] or ""):  # not raised: moving, loading, not there yet
                    raise LogUnavailable(f"group {group}: {description['error']}")
                members = [
                    MemberToRemove(member_id=member["member_id"])
                    for member in description["members"]
                    if name in (None, member["client_id"])
                ]
                if members:
                    admin.remove_group_members(group, members)

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        with self._lock:
            try:
                if self._client is None:
                    self._client = KafkaAdminClient(**connection(self._brokers), **ADMIN)
                yield self._client
            except KafkaError as error:
                missed = self._client is None
                self._discard()  # a client that saw its broker go may hold on to dead connections
                if missed and error.retriable:
                    servers = ",".join(self._brokers["bootstrap_servers"])
                    raise LogUnavailable(f"Kafka does not answer at {servers} ({type(error).__name__})") from error
                raise translated(error) from error

    def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _move(admin: KafkaAdminClient, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    wanted = {slot: OffsetAndMetadata(offset, "", -1) for slot, offset in offsets.items()}
    for error in (admin.alter_group_offsets(group, wanted) if wanted else {}).values():
        if error is not NoError:
            raise EventLogError(f"group {group} cannot be moved while it has members: {error.__name__}")


def _partitions(admin: KafkaAdminClient, topic: str) -> list[TopicPartition]:
    (description,) = admin.describe_topics([topic])
    if not description["partitions"]:
        raise Fatal(f"there is no topic {topic}")
    return sorted(TopicPartition(topic, one["partition_index"]) for one in description["partitions"])


def _new_topic(topic: Topic) -> dict[str, Any]:
    # The brokers' clocks, not the writers': one that is ahead by an hour would be refused everything, and one that is behind would
    # have its records deleted early.
    configs = {"retention.ms": str(topic.retention_ms), "max.message.bytes": str(topic.max_message_bytes)}
    configs["message.timestamp.type"] = "LogAppendTime"
    return {"num_partitions": topic.partitions, "configs": configs}
