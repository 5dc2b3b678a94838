"""The log on Apache Kafka, through kafka-python: with `batches` the only module that knows that client.

Nothing is connected before its first use, so that a service can be built while the brokers are still starting. What
Kafka answers becomes one of three: try again (`LogUnavailable`, or an empty poll), refuse (`TooLarge`), stop (`Fatal`).
"""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import (
    ConsumerRebalanceListener,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    OffsetSpec,
    TopicPartition,
)
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    AuthorizationError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    LogTruncationError,
    NoError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumberError,
    UnknownProducerIdError,
)

from spanstream.eventlog import batches, sizes
from spanstream.eventlog.access import OPEN, Access
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable, PositionGone
from spanstream.eventlog.intervals import MAX_POLL_INTERVAL
from spanstream.eventlog.log import Outgoing, Position, Record, Slot
from spanstream.eventlog.room import Room
from spanstream.eventlog.selector import Selector
from spanstream.eventlog.silence import Silence
from spanstream.events.topics import Topic

log = logging.getLogger(__name__)
batches.install()

COMMIT_TIMEOUT = 10.0  # seconds
MAX_UNACKNOWLEDGED_BYTES = 64 << 20  # of one producer: its client has no bound of its own
CLOSE_SECONDS = 5.0
RETENTION_CHECK_SECONDS = 600.0  # the broker looks every 300 s by default, and takes a minute to delete the files
DELIVERY_SECONDS = 30.0  # until a client gives up what is not acknowledged

_CLIENT = {
    "reconnect_backoff_max_ms": 1_000,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
    "selector": Selector,
}
PRODUCER = {
    **_CLIENT,
    "enable_idempotence": True,  # said explicitly: a conflicting setting then raises instead of switching it off
    "acks": "all",
    "compression_type": "lz4",
    "linger_ms": 1,  # what several threads publish within 1 ms shares a request; three hops cost 3 ms of freshness
    "batch_size": 65_536,
    "max_request_size": 2 << 20,  # above every topic's limit: sizes.check decides
    "max_block_ms": 5_000,
    "request_timeout_ms": 10_000,
    "delivery_timeout_ms": int(DELIVERY_SECONDS * 1000),
}
CONSUMER = {
    **_CLIENT,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",  # poll() tells a group that is new from one whose records are gone
    "isolation_level": "read_committed",
    "partition_assignment_strategy": [CooperativeStickyAssignor],
    "session_timeout_ms": 45_000,
    "heartbeat_interval_ms": 3_000,
    "max_poll_interval_ms": int(MAX_POLL_INTERVAL * 1000),
    "fetch_min_bytes": 1,  # the broker answers as soon as there is anything
    # The broker holds a fetch this long when there is nothing. A partition that was still being drained when the
    # fetch left has to wait for it, so this bounds the latency added under load; 10 idle fetches a second cost little.
    "fetch_max_wait_ms": 100,
    "fetch_max_bytes": 16 << 20,  # bounds what one consumer buffers
    "max_partition_fetch_bytes": 2 << 20,
    "request_timeout_ms": 30_000,
    "check_crcs": True,
}
ADMIN = {"reconnect_backoff_max_ms": 1_000, "bootstrap_timeout_ms": 3_000, "request_timeout_ms": 5_000}

_BEGUN = re.compile(r"a=([0-9]{1,6})")  # what `begin` notes beside an offset

# The broker lost or disowned the producer's state: nothing is wrong with the messages, their outcome is unknown.
_SEQUENCE_LOST = (OutOfOrderSequenceNumberError, UnknownProducerIdError, InvalidProducerEpochError)


def brokers(servers: Sequence[str], access: Access) -> dict[str, Any]:
    """Every client's options about whom it speaks to, and as whom."""
    options: dict[str, Any] = {"bootstrap_servers": list(servers)}
    if access.ca_file is not None:
        options |= {"security_protocol": "SSL", "ssl_cafile": str(access.ca_file)}
    if access.username is not None:
        options |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": access.username,
            "sasl_plain_password": access.password,
        }
    return options


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
                    self._client = KafkaAdminClient(**_connection(self._brokers), **ADMIN)
                yield self._client
            except KafkaError as error:
                missed = self._client is None
                self._discard()  # a client that saw its broker go may hold on to dead connections
                if missed and error.retriable:
                    servers = ",".join(self._brokers["bootstrap_servers"])
                    raise LogUnavailable(f"Kafka does not answer at {servers} ({type(error).__name__})") from error
                raise _translated(error) from error

    def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class Producer:
    """Publishes to Kafka: idempotent, acknowledged by all in-sync replicas."""

    def __init__(self, brokers: Mapping[str, Any]) -> None:
        self._brokers = brokers
        self._lock = threading.Lock()
        self._client: KafkaProducer | None = None
        self._room = Room(MAX_UNACKNOWLEDGED_BYTES)
        self._silence = Silence()  # of the client

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        sizes.check(messages)
        end = time.monotonic() + deadline
        self._replace_if_silent()
        client = None
        occupied = [sizes.size(message) for message in messages]
        room, silence = self._room, self._silence
        room.take(sum(occupied), deadline)
        futures: list[Any] = []
        try:
            client = self._connected()
            for m in messages:
                futures.append(client.send(m.topic, m.value, m.key, list(m.headers)))
                silence.asked()
            written = [future.get(max(0.0, end - time.monotonic())) for future in futures]
        except KafkaError as error:
            if client is not None and not error.retriable:
                self._replace(client)
            raise _translated(error) from error
        finally:  # the client keeps what it was given until it is acknowledged or given up, also after our deadline
            for future, size in zip(futures, occupied, strict=False):
                future.add_callback(room.give, size)
                future.add_errback(room.give, size)
                future.add_callback(silence.answered)
                future.add_errback(silence.answered)
            room.give(sum(occupied[len(futures) :]))
        return [Position(one.topic, one.partition, one.offset) for one in written]

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            _end(client, CLOSE_SECONDS)

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._client is None:
                self._client = KafkaProducer(**_connection(self._brokers), bootstrap_timeout_ms=5_000, **PRODUCER)
            return self._client

    def _replace(self, broken: Any) -> None:
        """One refused record leaves the idempotent client unable to send anything: the next call gets a new one."""
        with self._lock:
            if self._client is broken:
                self._client, self._room, self._silence = None, Room(MAX_UNACKNOWLEDGED_BYTES), Silence()
        _end(broken, 0)

    def _replace_if_silent(self) -> None:
        """A client gives up after its delivery timeout what brokers do not acknowledge. kafka-python 3.0.12 was seen to do
        neither, after two of three brokers had died and were back: whatever it was given waited, for ever.
        """
        silent = self._client if self._silence.seconds() >= DELIVERY_SECONDS else None
        if silent is not None:
            log.warning(
                "the producer's client has said nothing for %.0f s: another one takes its place",
                self._silence.seconds(),
            )
            self._replace(silent)


def _end(client: KafkaProducer, seconds: float) -> None:
    """What is not sent by then is given up, and whoever waits for it is told: the client's own close only raises, and goes on."""
    try:
        client.close(seconds)
    except KafkaTimeoutError:
        client._sender.force_close()


class _Taken(ConsumerRebalanceListener):  # type: ignore[misc]
    """Told by the client within a poll."""

    def __init__(self) -> None:
        self.slots: set[TopicPartition] = set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Those that were not held before."""
        self.slots |= set(assigned)

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
        self._taken = _Taken()
        self._paused = False

    def poll(self, wait: float) -> Sequence[Record]:
        deadline = time.monotonic() + wait
        try:
            client = self._connected()
            batches = client.poll(timeout_ms=max(1, int(wait * 1000)), max_records=self._max_records)
            _keep_joining(client)
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
            raise _translated(error) from error
        records = [_record(one) for batch in batches.values() for one in batch]
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
            raise _translated(error) from error
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
            raise _translated(error) from error
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
                **_connection(self._brokers),
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


class Reader:
    """Reads a topic of Kafka without a group."""

    def __init__(self, brokers: Mapping[str, Any], topic: str, positions: Mapping[int, int], max_records: int) -> None:
        self._max_records = max_records
        try:
            self._client = KafkaConsumer(
                **_connection(brokers), client_id="spanstream-reader", bootstrap_timeout_ms=5_000, **CONSUMER
            )
        except KafkaError as error:
            raise _translated(error) from error
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
                raise _translated(error) from error
            raise

    def poll(self, wait: float) -> Sequence[Record]:
        try:
            batches = self._polled(wait)
        except KafkaError as error:
            if error.retriable:
                return []
            raise _translated(error) from error
        self._next |= {slot: batch[-1].offset + 1 for slot, batch in batches.items()}
        return [_record(one) for batch in batches.values() for one in batch]

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


def _connection(brokers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, once the certificates can be read; raises LogUnavailable until then, since a file may come."""
    if (file := brokers.get("ssl_cafile")) is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            raise LogUnavailable(f"LOG_CA_FILE: {file} cannot be read ({type(error).__name__})") from error
    return brokers


def _keep_joining(client: KafkaConsumer) -> None:
    """Let the next poll finish a join that this one began and had no time for.

    kafka-python 3.0.12 forgets such a join if a change of metadata was what began it: its reason to join is gone as
    soon as the leader has assigned, nobody takes the answer, and the member sits without partitions for ever.
    """
    coordinator = client._coordinator
    if coordinator.rebalance_in_progress():
        coordinator.request_rejoin()


def _record(raw: Any) -> Record:
    headers = tuple((name, value or b"") for name, value in raw.headers)
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value, headers, raw.timestamp)


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


def _translated(error: KafkaError) -> EventLogError:
    reason = f"Kafka: {error}"  # which begins with the name of its class
    return LogUnavailable(reason) if error.retriable or isinstance(error, _SEQUENCE_LOST) else Fatal(reason)
