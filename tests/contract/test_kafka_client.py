"""What kafka-python does, in the pinned version, that our rules for it are made for. A raise of the pin that changes one fails here."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]
from kafka.errors import KafkaError, MessageSizeTooLargeError  # type: ignore[import-untyped]

from spanstream.eventlog.errors import Fatal
from spanstream.eventlog.kafka.client import CONSUMER, PRODUCER
from spanstream.eventlog.log import Log, Outgoing, Record
from spanstream.eventlog.opening import open_log
from spanstream.events.topics import Topic

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

SECONDS = 60.0
NOISE = random.Random(3).randbytes(10_000)  # of which no compressor makes less


@pytest.fixture
def log(kafka_url: str) -> Iterator[Log]:
    made = open_log(kafka_url)
    yield made
    made.close()
    gc.collect()  # now, where sockets that the client leaves open are expected


@pytest.fixture
def servers(kafka_url: str) -> list[str]:
    return [kafka_url.removeprefix("kafka://")]


@pytest.fixture
def topic(log: Log) -> str:
    return _topic(log, 1 << 20)


@pytest.fixture
def narrow(log: Log) -> str:
    """A topic that takes 1,000 bytes a record."""
    return _topic(log, 1000)


def _topic(log: Log, most: int) -> str:
    name = f"test-{uuid.uuid4().hex}"
    log.ensure_topics([Topic(name, "", 1, -1, most, (), (), None)])
    return name


@pytest.fixture
def consumer(servers: list[str], topic: str) -> Iterator[Callable[..., KafkaConsumer]]:
    """A raw consumer of the topic from its beginning, with our settings and these."""
    made = []

    def make(**options: Any) -> KafkaConsumer:
        one = KafkaConsumer(bootstrap_servers=servers, group_id=f"group-{uuid.uuid4().hex}", **CONSUMER | options)
        made.append(one)
        one.assign([TopicPartition(topic, 0)])
        one.seek_to_beginning()
        return one

    yield make
    for one in made:
        one.close(autocommit=False, timeout_ms=1000)


@pytest.mark.finding(
    "kafka-python: one record that the broker refuses ends the idempotent producer, and what others sent with it",
    "confirmed; ours is replaced",
)
def test_one_record_that_the_broker_refuses_ends_the_idempotent_producer_and_ours_goes_on(
    servers: list[str], log: Log, topic: str, narrow: str
) -> None:
    raw = KafkaProducer(bootstrap_servers=servers, **PRODUCER)
    assert raw.send(topic, b"before").get(SECONDS)
    with pytest.raises(MessageSizeTooLargeError):
        raw.send(narrow, NOISE).get(SECONDS)
    with pytest.raises(KafkaError):
        raw.send(topic, b"after").get(SECONDS)
    raw.close(0)

    ours = log.producer()
    with pytest.raises(Fatal, match="MessageSizeTooLarge"):
        ours.publish([Outgoing(narrow, b"k", NOISE)])
    assert ours.publish([Outgoing(topic, b"k", b"after")])
    ours.close()


@pytest.mark.finding(
    "kafka-python: what is unpacked from a compressed batch has no bound",
    "confirmed; memory is limited from outside, writers by access lists",
)
def test_a_record_may_be_longer_than_every_limit_of_a_fetch_once_it_is_unpacked(
    servers: list[str], topic: str, consumer: Callable[..., KafkaConsumer]
) -> None:
    """So whoever may write to a topic must be trusted, and memory is limited from outside."""
    unpacked = 4 * CONSUMER["fetch_max_bytes"]
    raw = KafkaProducer(bootstrap_servers=servers, compression_type="gzip", max_request_size=2 * unpacked)
    raw.send(topic, bytes(unpacked)).get(SECONDS)
    raw.close()
    [[record]] = _polled(consumer()).values()
    assert len(record.value) == unpacked > CONSUMER["max_partition_fetch_bytes"]


@pytest.mark.finding(
    "kafka-python: a committed position carries a note (attempts, `a=n+1`)",
    "confirmed; the attempts at a partition are kept there",
)
def test_a_position_keeps_what_is_noted_beside_it(servers: list[str], topic: str) -> None:
    """Attempts (`a=n+1`) may be counted there."""
    one = KafkaConsumer(bootstrap_servers=servers, group_id=f"group-{uuid.uuid4().hex}", **CONSUMER)
    slot = TopicPartition(topic, 0)
    one.assign([slot])
    one.commit({slot: OffsetAndMetadata(0, "a=2", -1)})
    assert one.committed(slot, metadata=True).metadata == "a=2"
    one.close(autocommit=False, timeout_ms=1000)


def _polled(one: KafkaConsumer) -> dict[TopicPartition, list[Any]]:
    """The first answer that is not empty."""
    while not (found := one.poll(timeout_ms=int(SECONDS * 1000))):
        pass
    return dict(found)


SPINS = """
import sys, threading, time
from kafka import KafkaConsumer, TopicPartition

def unpack(value):
    if value == b"bad":
        raise ValueError("bad")
    return value

one = KafkaConsumer(bootstrap_servers=[sys.argv[1]], group_id=None, value_deserializer=unpack)
one.assign([TopicPartition(sys.argv[2], 0)])
one.seek_to_beginning()
raised = 0
while not raised:
    try:
        one.poll(timeout_ms=1000)
    except ValueError:
        raised += 1
polling = threading.Thread(target=lambda: one.poll(timeout_ms=100), daemon=True)
polling.start()
used = time.process_time()
while polling.is_alive() and time.process_time() - used < 3:
    time.sleep(0.05)
print(polling.is_alive())
sys.stdout.flush()
import os
os._exit(0)
"""


@pytest.mark.finding(
    "kafka-python: after an exception in unpacking the next poll spins for ever",
    "confirmed; a consumer that raised is never polled again, and nothing of ours unpacks in the client",
)
def test_after_an_exception_in_unpacking_the_next_poll_never_returns(servers: list[str], topic: str) -> None:
    """So a consumer that raised is never polled again, and we unpack in our own code."""
    raw = KafkaProducer(bootstrap_servers=servers, linger_ms=1000)
    for value in (b"good", b"bad"):
        raw.send(topic, value)
    raw.close()
    done = subprocess.run([sys.executable, "-c", SPINS, *servers, topic], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert not any(name.endswith("deserializer") for name in CONSUMER)


class _Unreadable(str):
    """A name that is no UTF-8 where it is written."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


@pytest.mark.finding(
    "kafka-python: a header whose name is no UTF-8 ends the consumer, at every start", "confirmed; read past"
)
def test_a_name_of_a_header_that_is_no_utf8_stops_nobody(
    kafka_url: str, servers: list[str], log: Log, topic: str
) -> None:
    """The client alone cannot read past such a record, and the broker takes it."""
    raw = KafkaProducer(bootstrap_servers=servers, linger_ms=1000)  # so that all are in one batch
    named = [("one", b"1"), (_Unreadable("x"), b"2"), ("three", b"3")]
    for value, headers in ((b"1", []), (b"2", named), (b"3", [("name", b"value")])):
        raw.send(topic, value, b"key", headers=headers)
    raw.close()
    consumer = log.consumer(f"group-{uuid.uuid4().hex}", [topic])
    records: list[Record] = []
    deadline = time.monotonic() + SECONDS
    while len(records) < 3:
        assert time.monotonic() < deadline
        records += consumer.poll(0.2)
    consumer.close()
    assert [(record.key, record.value) for record in records] == [(b"key", b"1"), (b"key", b"2"), (b"key", b"3")]
    assert [record.headers for record in records[1:]] == [
        (("one", b"1"), ("??", b"2"), ("three", b"3")),
        (("name", b"value"),),
    ]
