"""The chart's RayService on a real Ray on this machine: it answers as the encoder of one process does, and goes on while a worker ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from spanstream.encoder.encoder import Text
from spanstream.encoder.errors import EncoderError
from spanstream.encoder.http import HttpEncoder
from spanstream.representations.local import open_local
from tests.rehearsal.kuberay import RayCluster
from tests.rehearsal.manifests import of_kind
from tests.unit.representations.tiny import LINES, build
from tools.helm import Chart

WORKERS = 2
PACE, PATIENCE, SECONDS = 0.2, 10.0, 500.0
SETS = (
    "encoder.workload=RayService",
    f"encoder.ray.replicas={WORKERS}",
    f"encoder.ray.maxReplicas={WORKERS}",
    "encoder.ray.cpusPerReplica=1",
    "encoder.settings.ENCODER_MODEL=/models/tiny",
    "encoder.settings.ENCODER_DTYPE=float32",
    "encoder.volumes.models.mountPath=/models",
    "encoder.volumes.models.claim=models",
    "global.monitoring.serviceMonitors=true",
)
TEXTS = [Text(line, np.array([[0, 8], [2, len(line)]], np.int32)) for line in LINES]


pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A claim's content: a small model named `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    build(folder / "tiny", "bert", {"pooling_mode_mean_tokens": True})
    return folder


@pytest.fixture(scope="module")
def resources(chart: Chart) -> list[Any]:
    return chart.render("dev", *SETS)


@pytest.fixture(scope="module")
def ray(long: bool, resources: Sequence[Any], models: Path) -> Iterator[RayCluster]:
    """All its workers ready, and a replica on each."""
    if not long:
        pytest.skip(
            "`make rehearse` alone: a Ray of three nodes; the encoder on Ray Serve is tested in tests/integration"
        )
    made = RayCluster(resources, {"models": models}, PACE, PATIENCE)
    try:
        wait(lambda: made.head.ready, made, "the head")
        for _ in range(WORKERS):
            made.add_worker()
        made.deploy()
        complete(made)
        yield made
    finally:
        made.close()


def complete(ray: RayCluster) -> None:
    """Wait for a replica on each worker, and none on the head."""
    workers = {pod.address for pod in ray.workers}
    wait(lambda: all(pod.ready for pod in ray.workers) and ray.running() == workers, ray, "a replica on each worker")


def wait(true: Callable[[], bool], ray: RayCluster, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        pods = (ray.head, *ray.workers)
        assert time.monotonic() < deadline, f"{what}\n" + "\n".join(
            f"{pod.name}: {pod.waiting}\n{pod.log}" for pod in pods
        )
        time.sleep(0.2)


def test_it_gives_the_vectors_of_one_process(ray: RayCluster, models: Path) -> None:
    local, served = open_local(str(models / "tiny"), dtype="float32", threads=1), HttpEncoder(ray.url)
    try:
        assert served.info().release == local.info().release
        for got, right in zip(served.encode(TEXTS), local.encode(TEXTS), strict=True):
            np.testing.assert_allclose(got.whole, right.whole, atol=1e-5)
            np.testing.assert_allclose(got.ranges, right.ranges, atol=1e-5)
    finally:
        served.close()
        local.close()
    assert httpx.get(f"{ray.url}/v1/health", timeout=SECONDS).json() == {"status": "ok"}


def test_nobody_deploys_without_the_token(ray: RayCluster) -> None:
    assert ray.refused_without_token() == 401


def test_its_metrics_have_the_names_that_dashboards_ask_for(ray: RayCluster, resources: Sequence[Any]) -> None:
    """At the port that the PodMonitor scrapes, by its relabelling."""
    (monitor,) = of_kind(resources, "PodMonitor").values()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (rule,) = endpoint["metricRelabelings"]

    def names() -> set[str]:
        found = set()
        for pod in ray.workers:
            text = httpx.get(
                f"http://{pod.address}:{pod.template.port(endpoint['port'])}/metrics", timeout=SECONDS
            ).text
            found |= set(re.findall(r"^(\w+)\{", text, re.MULTILINE))
        return {re.sub(f"^{rule['regex']}$", rule["replacement"].replace("$", "\\"), name) for name in found}

    client = HttpEncoder(ray.url)
    client.encode(TEXTS)
    client.close()
    wanted = {"encoder_tokens_total", "encoder_busy_seconds_total", "encoder_queue_seconds_bucket"}
    wait(lambda: wanted <= names(), ray, f"metrics named {wanted}")


def test_a_worker_that_is_drained_fails_no_request_and_is_replaced(ray: RayCluster) -> None:
    answered, failures, stop = [0], list[EncoderError](), threading.Event()

    def ask() -> None:
        client = HttpEncoder(ray.url, in_flight=1)
        while not stop.is_set():
            try:
                client.encode(TEXTS)
                answered[0] += 1
            except EncoderError as error:
                failures.append(error)
        client.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait(lambda: answered[0] >= 10, ray, "the first answers")
        ray.remove(ray.workers[0])
        ray.add_worker()
        complete(ray)
        before = answered[0]
        wait(lambda: answered[0] >= before + 10, ray, "the last answers")
    finally:
        stop.set()
        asking.join()
    assert failures == []
