"""The small profile of charts/spanstream as processes: installed, tested, upgraded under load and drained (`make rehearse`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spanstream.encoder.opening import open_encoder
from tests.chaos import checker
from tests.rehearsal.cluster import Cluster
from tests.rehearsal.conftest import Secrets
from tests.rehearsal.index import look
from tests.rehearsal.load import Load, last_versions, settled
from tests.rehearsal.together import one_pod
from tools.helm import Chart

ENCODER, GATEWAY, INGEST = "spanstream-encoder:8082", "spanstream-gateway:8080", "spanstream-ingestor-api:8081"
UPGRADED = {  # Deployments and their values, in the order in which they are upgraded and drained
    "spanstream-encoder": "encoder",
    "spanstream-ingestor-api": "ingestorApi",
    "spanstream-ingestor-worker": "ingestorWorker",
    "spanstream-embedder": "embedder",
}
Render = Callable[..., list[Any]]


@contextmanager
def running(folder: Path, secrets: Secrets, kafka: Mapping[str, str]) -> Iterator[Cluster]:
    made = Cluster(folder, secrets, kafka, 1.0)
    try:
        yield made
    finally:
        made.close()


def url(cluster: Cluster, place: str) -> str:
    name, _, port = place.partition(":")
    return f"http://{cluster.hosts[name]}:{port}"


def rehearse(cluster: Cluster, render: Render, token: str, store: Path) -> None:
    """1 install, 2 `helm test`, 3 upgrade each service under load, 4 drain, 5 count what failed, and what is in the index."""
    cluster.install(render())  # 1
    cluster.wait_available()
    assert cluster.test(render()) == "smoke: sent, searchable, found, deleted\n"  # 2
    encoder = open_encoder(url(cluster, ENCODER))
    info = encoder.info()
    encoder.close()
    changed: list[str] = []
    with Load(url(cluster, GATEWAY), url(cluster, INGEST), token) as load:
        cluster.wait(load.passed(10), "the first requests")
        for alias in UPGRADED.values():  # 3
            changed.append(f"{alias}.podAnnotations.upgraded=yes")
            cluster.upgrade(render(*changed))
            cluster.wait_available()
            cluster.wait(load.passed(5), f"requests after the upgrade of {alias}")
        for name in UPGRADED:  # 4
            first, second, *_ = cluster.deployments[name].pods
            assert cluster.evict(first)
            assert not cluster.evict(second), "the budget lets a second pod go at once"
            cluster.wait_available()
        cluster.wait(load.passed(10), "the last requests")
    failed = {kind: len(those) for kind, those in load.failures.items()}  # 5
    print(f"answered {load.counts}, failed {failed}, sent again {load.resent}, pods replaced {len(cluster.ended())}")
    assert not any(load.failures.values()), load.failures
    cluster.wait(settled(url(cluster, GATEWAY), token, load.history), "the last document")
    pods = cluster.pods()
    cluster.close()
    for pod in [*pods, *cluster.ended()]:
        assert (pod.code, pod.killed) == (0, False), f"{pod.name}\n{pod.log}"
    load.history.final = look(store, info, last_versions(load.history), 10**9)
    assert checker.check(load.history) == []


@pytest.mark.timeout(3600)
def test_an_upgrade_and_a_drain_fail_no_request_and_lose_no_document(
    broker: str, chart: Chart, secrets: Secrets, tmp_path: Path
) -> None:
    token, store = secrets["spanstream-keys"]["token"], tmp_path / "index"

    def render(*more: str) -> list[Any]:
        return one_pod(chart.render("small", *more), store)

    with running(tmp_path / "pods", secrets, {"kafka:9092": broker}) as cluster:
        rehearse(cluster, render, token, store)
