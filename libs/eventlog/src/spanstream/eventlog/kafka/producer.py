"""Publishing to Kafka: idempotent, acknowledged by all in-sync replicas."""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from spanstream.eventlog import sizes
from spanstream.eventlog.kafka.client import CLOSE_SECONDS, DELIVERY_SECONDS, PRODUCER, connection, translated
from spanstream.eventlog.log import Outgoing, Position
from spanstream.eventlog.room import Room
from spanstream.eventlog.silence import Silence

log = logging.getLogger(__name__)

MAX_UNACKNOWLEDGED_BYTES = 64 << 20  # of one producer: its client has no bound of its own


class Producer:
    """See the port."""

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
            raise translated(error) from error
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
                self._client = KafkaProducer(**connection(self._brokers), bootstrap_timeout_ms=5_000, **PRODUCER)
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
