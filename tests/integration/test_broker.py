"""The local Kafka broker: real processes, real kills."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from spanstream.eventlog.errors import EventLogError, LogUnavailable
from spanstream.eventlog.kafka.log import KafkaLog
from spanstream.eventlog.kafka.producer import MAX_UNACKNOWLEDGED_BYTES
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events import topics
from spanstream.standalone import child, jars
from spanstream.standalone.broker import BrokerError, LocalBroker
from tests.fixtures.freezing import freeze

TOPIC = topics.DOCUMENTS.name


def no_network(coordinates: str) -> Sequence[Path]:
    raise jars.JarsUnavailable("no route to host")


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path as a first start leaves it behind."""
    path = tmp_path_factory.mktemp("jars") / "classpath.txt"
    jars.class_path(path, progress=lambda message: None)
    return path.read_text()


@pytest.fixture
def folder(tmp_path: Path, listing: str) -> Path:
    """A data folder that needs no network."""
    made = tmp_path / "kafka"
    made.mkdir()
    (made / "classpath.txt").write_text(listing)
    return made


class Brokers:
    """Starts brokers and stops whatever a test leaves running."""

    def __init__(self) -> None:
        self.reports: list[BaseException] = []
        self._made: list[LocalBroker] = []

    def start(self, folder: Path, port: int = 0, resolve: jars.Resolve = no_network) -> LocalBroker:
        broker = LocalBroker(folder, port, resolve=resolve)
        self._made.append(broker)
        broker.start(self.reports.append)
        return broker

    def stop(self) -> None:
        for broker in self._made:
            broker.stop(time.monotonic() + 10)


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    made = Brokers()
    yield made
    made.stop()


def log_of(broker: LocalBroker) -> KafkaLog:
    return KafkaLog([broker.url.removeprefix("kafka://")])


def publish(broker: LocalBroker, count: int) -> None:
    log = log_of(broker)
    log.ensure_topics(topics.ALL)
    producer = log.producer()
    producer.publish([Outgoing(TOPIC, b"%d" % number, b"value") for number in range(count)])
    producer.close()
    log.close()


def stored(broker: LocalBroker) -> int:
    log = log_of(broker)
    try:
        return sum(log.end_offsets(TOPIC).values())
    finally:
        log.close()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


@pytest.mark.promise("I1")
def test_what_was_acknowledged_survives_a_kill_of_the_broker(folder: Path, brokers: Brokers) -> None:
    first = brokers.start(folder)
    publish(first, 500)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: len(brokers.reports) == 1)  # its death is noticed
    assert isinstance(brokers.reports[0], BrokerError)
    assert not first.live()
    assert first.unready()
    first.stop(time.monotonic() + 5)
    second = brokers.start(folder)
    assert stored(second) == 500
    publish(second, 10)
    assert stored(second) == 510


def test_a_second_start_keeps_topics_and_offsets_and_needs_no_network(folder: Path, brokers: Brokers) -> None:
    first = brokers.start(folder)
    publish(first, 20)
    log = log_of(first)
    consumer = log.consumer("embedder", [TOPIC])
    read: list[Record] = []
    while len(read) < 20:
        read.extend(consumer.poll(0.2))
    assert consumer.commit(read)
    consumer.close()
    log.close()
    began = time.monotonic()
    first.stop(began + 120)
    assert time.monotonic() - began < 100  # of its own will
    second = brokers.start(folder)
    log = log_of(second)
    assert sum(log.committed("embedder", TOPIC).values()) == 20
    assert log.ensure_topics(topics.ALL) == []
    log.close()
    assert brokers.reports == []


OWNER = """
import sys, time
from pathlib import Path
from spanstream.eventlog.kafka.log import KafkaLog
from spanstream.events import topics
from spanstream.standalone.broker import LocalBroker

broker = LocalBroker(Path(sys.argv[1]))
broker.start(print)
log = KafkaLog([broker.url.removeprefix("kafka://")])
log.ensure_topics(topics.ALL)
consumer = log.consumer("embedder", ["documents.v1"])
while not consumer.assignment():
    consumer.poll(0.2)
print(broker.pid, flush=True)
while True:
    consumer.poll(0.2)
"""


@pytest.mark.promise("I15")
def test_what_a_silent_broker_does_not_acknowledge_is_bounded_and_goes_on_when_it_speaks_again(
    folder: Path, brokers: Brokers
) -> None:
    broker = brokers.start(folder)
    publish(broker, 1)
    log = log_of(broker)
    producer = log.producer()
    message = Outgoing(TOPIC, b"k", random.Random(1).randbytes(600_000))
    producer.publish([message])  # it knows the broker
    freeze(broker.pid)
    try:
        for _ in range(MAX_UNACKNOWLEDGED_BYTES // 600_000 + 1):
            with pytest.raises(LogUnavailable) as refused:
                producer.publish([message], 0.01)
        assert "wait to be acknowledged" in str(refused.value)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert producer.publish([message], 30.0)
    producer.close()
    log.close()


def test_a_producer_that_is_closed_under_a_silent_broker_tells_who_waits(folder: Path, brokers: Brokers) -> None:
    broker = brokers.start(folder)
    publish(broker, 1)
    log = log_of(broker)
    producer = log.producer()
    message = Outgoing(TOPIC, b"k", b"value")
    producer.publish([message])  # it knows the broker
    freeze(broker.pid)
    told: list[type] = []

    def wait() -> None:
        try:
            producer.publish([message], 600)
        except EventLogError as error:
            told.append(type(error))

    waiting = threading.Thread(target=wait)
    try:
        waiting.start()
        with pytest.raises(LogUnavailable):
            producer.publish([message], 0.5)
        producer.close()
        waiting.join(90)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert not waiting.is_alive()
    assert len(told) == 1
    log.close()


def test_a_kill_of_the_owner_ends_the_broker_and_its_members_hold_nobody_up(folder: Path, brokers: Brokers) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert os.getsid(pid) != os.getsid(0)  # Ctrl-C in our terminal does not reach it
    owner.kill()
    owner.wait()
    owner.stdout.close()
    broker = brokers.start(folder)  # at once, while the old one may still be ending
    assert child.command_line(pid) == ""
    log = log_of(broker)
    consumer = log.consumer("embedder", [TOPIC])
    until(lambda: consumer.poll(0.2) == [] and len(consumer.assignment()) == 6)  # not after a session's 45 s
    consumer.close()
    log.close()


def test_a_survivor_of_an_earlier_life_is_stopped_but_no_stranger(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = [sys.executable, "-c", "import time; time.sleep(60)", "our-mark"]
    survivor = subprocess.Popen(command)
    until(lambda: "our-mark" in child.command_line(survivor.pid))  # a moment after exec
    pid_file.write_text(str(survivor.pid))
    child.stop_survivor(pid_file, "another-mark", 5)
    assert survivor.poll() is None
    pid_file.write_text(str(survivor.pid))
    child.stop_survivor(pid_file, "our-mark", 5)
    assert survivor.wait(90) == -signal.SIGTERM
    assert not pid_file.exists()


def test_a_port_in_use_is_named(folder: Path, brokers: Brokers) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} on 127.0.0.1.* is taken by another program"):
            brokers.start(folder, port)
    assert brokers.start(folder, port).url == f"kafka://127.0.0.1:{port}"  # the failed start left nothing behind


def test_a_folder_in_use_is_named(folder: Path, brokers: Brokers) -> None:
    first = brokers.start(folder)
    with pytest.raises(BrokerError, match=f"already runs on the data folder {folder}"):
        brokers.start(folder)
    assert not first.unready()


def test_without_network_the_first_start_says_what_to_do(tmp_path: Path, brokers: Brokers) -> None:
    with pytest.raises(
        BrokerError, match=r"no route to host(.|\n)*Connect and start again; later starts need no network"
    ):
        brokers.start(tmp_path / "new")


def test_a_full_disk_is_named(folder: Path) -> None:
    broker = LocalBroker(folder, resolve=no_network, free_bytes=1 << 60)
    with pytest.raises(BrokerError, match="Free some space, or choose a data folder on another disk"):
        broker.start(lambda error: None)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BrokerError, match="Choose another data folder"):
        LocalBroker(tmp_path / "file" / "kafka", resolve=no_network).start(lambda error: None)


def test_a_damaged_folder_is_named_with_the_log_to_read(folder: Path, brokers: Brokers) -> None:
    brokers.start(folder).stop(time.monotonic() + 10)
    (folder / "logs" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=99\n")
    with pytest.raises(BrokerError) as raised:
        brokers.start(folder)
    message = str(raised.value)
    assert f"move {folder} away" in message
    assert str(folder / "broker.log") in message
    assert "99" in (folder / "broker.log").read_text()
    assert brokers.reports == []


def test_the_class_path_is_resolved_again_only_if_a_jar_has_gone(tmp_path: Path) -> None:
    made = [tmp_path / "a.jar", tmp_path / "b.jar"]
    calls = []

    def resolve(coordinates: str) -> Sequence[Path]:
        calls.append(coordinates)
        for jar in made:
            jar.touch()
        return made

    told: list[str] = []
    for _ in range(2):
        assert jars.class_path(tmp_path / "listing", told.append, resolve) == made
    assert calls == [jars.COORDINATES]
    assert len(told) == 1
    made[1].unlink()
    assert jars.class_path(tmp_path / "listing", told.append, resolve) == made
    assert len(calls) == 2


def test_it_stays_small(folder: Path, brokers: Brokers) -> None:
    broker = brokers.start(folder)
    publish(broker, 2000)
    status = Path(f"/proc/{broker.pid}/status")
    if not status.exists():
        pytest.skip("no /proc here")
    resident = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert resident < 400 * 1024  # KiB; about 170 MB as a rule
