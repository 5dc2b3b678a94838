"""Manifests with something wrong in them: the pod lives, is never ready, and its readiness and its log say what it lacks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from spanstream.eventlog.opening import open_log
from spanstream.events.topics import ALL
from tests.rehearsal.addresses import Network
from tests.rehearsal.conftest import Secrets
from tests.rehearsal.kubelet import Machine, Pod
from tests.rehearsal.manifests import Template, of_kind
from tools.helm import Chart

PACE, PATIENCE, SECONDS = 0.2, 10.0, 500.0
NOWHERE = "127.0.0.1:9"  # the port of a protocol that nobody serves any more
ENCODER = {"release": "stub@1", "dimension": 8, "max_tokens": 64, "dtype": "float32", "device": "cpu"}


@contextmanager
def alone(
    folder: Path, resources: list[Any], name: str, secrets: Secrets, neighbours: Mapping[str, str]
) -> Iterator[Pod]:
    """One pod of the Deployment of this name, without the others."""
    maps = {one: each["data"] for one, each in of_kind(resources, "ConfigMap").items()}
    template = Template(of_kind(resources, "Deployment")[name]["spec"]["template"])
    hosts = {"kafka:9092": NOWHERE, "qdrant:6333": NOWHERE, "spanstream-encoder:8082": NOWHERE, **neighbours}
    machine = Machine(folder, hosts, lambda it, pod: it.container(pod, maps, secrets), PACE, PATIENCE)
    pod = Pod(f"{name}-1", template, Network().take(), machine)
    try:
        yield pod
    finally:
        pod.delete()
        pod.join(SECONDS)


def until(true: Callable[[], bool], pod: Pod) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{pod.waiting}\n{pod.asked('readinessProbe')}\n{pod.log}"
        time.sleep(0.1)


def says(pod: Pod, words: str) -> None:
    """Wait until its readiness probe is refused with these words; they are in its log, and it was not restarted for it."""

    def told() -> bool:
        status, body = pod.asked("readinessProbe")
        return status == 503 and words in body

    until(told, pod)
    lines = [json.loads(line) for line in pod.log.splitlines() if line.startswith("{")]
    assert any(words in json.dumps(line.get("reasons", "")) for line in lines), pod.log
    assert pod.asked("livenessProbe")[0] == 200
    assert (pod.ready, pod.restarts) == (False, 0)


@pytest.fixture(scope="module")
def small(chart: Chart) -> list[Any]:
    """The small profile."""
    return chart.render("small")


@pytest.fixture
def encoder() -> Iterator[str]:
    """host:port of what says which release it is, and no more."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(ENCODER).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("service", "secret", "key"),
    [
        ("spanstream-gateway", "qdrant", "api-key"),
        ("spanstream-indexer", "qdrant", "api-key"),
        ("spanstream-ingestor-api", "spanstream-keys", "keys.json"),
    ],
)
def test_without_a_secret_or_its_key_nothing_starts_and_it_is_named(
    small: list[Any], secrets: Secrets, tmp_path: Path, service: str, secret: str, key: str
) -> None:
    """As the kubelet says it in the pod's events; a cluster tells it before any process of ours begins."""
    del secrets[secret][key]
    with alone(tmp_path, small, service, secrets, {}) as pod:
        until(lambda: bool(pod.waiting), pod)
        assert pod.waiting == f'CreateContainerConfigError: Secret "{secret}" has no key "{key}"'
        assert not pod.ready
    del secrets[secret]
    with alone(tmp_path, small, service, secrets, {}) as pod:
        until(lambda: bool(pod.waiting), pod)
        assert pod.waiting == f'CreateContainerConfigError: Secret "{secret}" not found'


def test_with_keys_that_nobody_can_read(small: list[Any], secrets: Secrets, tmp_path: Path, encoder: str) -> None:
    secrets["spanstream-keys"]["keys.json"] = "{"
    with alone(tmp_path, small, "spanstream-gateway", secrets, {"spanstream-encoder:8082": encoder}) as pod:
        says(pod, "AUTH_KEYS_FILE")
        says(pod, "the index server at STORE_URL cannot be reached")  # what else is wrong is told too


def test_with_a_wrong_address_of_kafka(small: list[Any], secrets: Secrets, tmp_path: Path) -> None:
    with alone(tmp_path, small, "spanstream-ingestor-worker", secrets, {}) as pod:
        says(pod, f"the log at LOG_URL: Kafka does not answer at {NOWHERE}")


def test_with_a_wrong_key_of_qdrant(
    small: list[Any], secrets: Secrets, tmp_path: Path, encoder: str, qdrant: str
) -> None:
    secrets["qdrant"]["api-key"] = "another"
    neighbours = {"spanstream-encoder:8082": encoder, "qdrant:6333": qdrant}
    with alone(tmp_path, small, "spanstream-gateway", secrets, neighbours) as pod:
        says(pod, "the index server at STORE_URL answered 401")


def test_without_topics_and_with_too_few_partitions(
    small: list[Any], secrets: Secrets, broker: str, tmp_path: Path
) -> None:
    neighbours = {"kafka:9092": broker}
    with alone(tmp_path, small, "spanstream-embedder", secrets, neighbours) as pod:
        says(pod, "there is no topic passages.v1")
        log = open_log(f"kafka://{broker}")
        log.ensure_topics([replace(topic, partitions=2) for topic in ALL])
        log.close()
        says(pod, "topic passages.v1 has 2 partitions and needs 6")
