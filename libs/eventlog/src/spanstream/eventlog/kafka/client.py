"""How this process speaks to Kafka: as whom, with which settings, and what its answers mean.

What Kafka answers becomes one of three: try again (`LogUnavailable`, or an empty poll), refuse (`TooLarge`), stop (`Fatal`).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    InvalidProducerEpochError,
    KafkaError,
    OutOfOrderSequenceNumberError,
    UnknownProducerIdError,
)

from spanstream.eventlog.access import Access
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable
from spanstream.eventlog.intervals import MAX_POLL_INTERVAL
from spanstream.eventlog.kafka import batches
from spanstream.eventlog.kafka.selector import Selector
from spanstream.eventlog.log import Record

batches.install()

CLOSE_SECONDS = 5.0
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


def connection(brokers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, once the certificates can be read; raises LogUnavailable until then, since a file may come."""
    if (file := brokers.get("ssl_cafile")) is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            raise LogUnavailable(f"LOG_CA_FILE: {file} cannot be read ({type(error).__name__})") from error
    return brokers


def as_record(raw: Any) -> Record:
    """As the port has it, from what a client has read."""
    headers = tuple((name, value or b"") for name, value in raw.headers)
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value, headers, raw.timestamp)


def translated(error: KafkaError) -> EventLogError:
    """What the caller should do."""
    reason = f"Kafka: {error}"  # which begins with the name of its class
    return LogUnavailable(reason) if error.retriable or isinstance(error, _SEQUENCE_LOST) else Fatal(reason)
