"""charts/spanstream as processes: installed, tested, upgraded under load and drained (`make rehearse`), small and for production."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spanstream.encoder.opening import open_encoder
from tests.chaos import checker
from tests.conftest import ROOT
from tests.rehearsal.cluster import Cluster
from tests.rehearsal.conftest import STORE_KEY, Secrets
from tests.rehearsal.guarded import GuardedBroker
from tests.rehearsal.index import look
from tests.rehearsal.load import Load, last_versions, settled
from tests.rehearsal.manifests import of_kind
from tests.rehearsal.result import Result, by_service
from tools.helm import Chart

# What production has more of than this machine has cores for: three of each API and of the encoder are two, its four threads one.
# What scales from none has two, as in every rehearsal.
SCALED_DOWN = (
    *(f"{name}.autoscaling.minReplicas=2" for name in ("ingestorApi", "encoder", "gateway")),
    "encoder.settings.ENCODER_THREADS=1",
)
SMOKE_SECONDS = 600
PATIENCE = 10.0  # twelve services share this machine's cores, of which each has its own where it is deployed
ENCODER, GATEWAY, INGEST = "spanstream-encoder:8082", "spanstream-gateway:8080", "spanstream-ingestor-api:8081"
SERVICES = ("encoder", "gateway", "ingestorApi", "ingestorWorker", "embedder", "indexer")
UPGRADED = tuple(f"{alias}.podAnnotations.upgraded=yes" for alias in SERVICES)
Render = Callable[..., list[Any]]


@contextmanager
def running(folder: Path, secrets: Secrets, neighbours: Mapping[str, str]) -> Iterator[Cluster]:
    made = Cluster(folder, secrets, neighbours, 1.0, patience=PATIENCE)
    try:
        yield made
    finally:
        made.close()


def url(cluster: Cluster, place: str) -> str:
    name, _, port = place.partition(":")
    return f"http://{cluster.hosts[name]}:{port}"


def rehearse(profile: str, cluster: Cluster, render: Render, token: str, store: str) -> Result:
    """1 install, 2 `helm test`, 3 upgrade all services under load, 4 drain a node, 5 count what failed, and what is in the index."""
    cluster.install(render())  # 1
    cluster.wait_available()
    said("installed")
    assert cluster.test(render()) == "smoke: sent, searchable, found, deleted\n"  # 2
    encoder = open_encoder(url(cluster, ENCODER))
    info = encoder.info()
    encoder.close()
    began = time.monotonic()
    with Load(url(cluster, GATEWAY), url(cluster, INGEST), token) as load:
        cluster.wait(load.passed(10), "the first requests")
        said(f"under load: {load.counts}")
        cluster.upgrade(render(*UPGRADED))  # 3
        cluster.wait_available()
        cluster.wait(load.passed(10), "requests after the upgrade")
        upgraded = by_service(cluster.ended())
        said(f"upgraded: {load.counts}, failed {load.failures}")
        for deployment in cluster.deployments.values():  # 4
            first, second, *_ = deployment.pods
            assert cluster.evict(first)
            assert not cluster.evict(second), "the budget lets a second pod go at once"
        cluster.wait_available()
        cluster.wait(load.passed(10), "the last requests")
        said(f"drained: {load.counts}, failed {load.failures}")
    loaded = time.monotonic() - began
    cluster.wait(settled(url(cluster, GATEWAY), token, load.history), "the last document")  # 5
    pods, evicted = cluster.pods(), by_service(cluster.ended())
    cluster.close()
    for pod in [*pods, *cluster.ended()]:
        assert (pod.code, pod.killed) == (0, False), f"{pod.name}\n{pod.log}"
    versions = last_versions(load.history)
    load.history.final = look(store, STORE_KEY, info, versions, 10**9)
    return Result(
        profile,
        round(loaded, 1),
        os.cpu_count() or 0,
        load.counts,
        {kind: len(those) for kind, those in load.failures.items()},
        load.resent,
        len(versions),
        [str(each) for each in checker.check(load.history)],
        upgraded,
        {name: number - upgraded[name] for name, number in evicted.items()},
        sum(pod.restarts for pod in [*pods, *cluster.ended()]),
    )


def said(words: str) -> None:
    """It takes long: what is going on."""
    print(time.strftime("%H:%M:%S"), words, flush=True)


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.timeout(5400)
@pytest.mark.promise("I21")
def test_an_upgrade_and_a_drain_fail_no_request_and_lose_no_document(
    broker: str, qdrant: str, chart: Chart, secrets: Secrets, tmp_path: Path
) -> None:
    def render(*more: str) -> list[Any]:
        return chart.render("small", f"smoke.seconds={SMOKE_SECONDS}", *more)

    neighbours = {"kafka:9092": broker, "qdrant:6333": qdrant}
    rehearsed("small", render, neighbours, secrets, tmp_path, "rehearsal.json")


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.timeout(5400)
def test_in_production_with_a_login_to_kafka_it_is_the_same(
    guarded: GuardedBroker, qdrant: str, chart: Chart, secrets: Secrets, tmp_path: Path
) -> None:
    """Kafka asks each service for its own user, and allows it what the chart's KafkaUsers say."""

    def render(*more: str) -> list[Any]:
        return chart.render("production", f"smoke.seconds={SMOKE_SECONDS}", *SCALED_DOWN, *more)

    secrets["events-cluster-ca-cert"] = {"ca.crt": guarded.certificate}
    secrets |= {name: {"password": guarded.password(name)} for name in of_kind(render(), "KafkaUser")}
    neighbours = {"events-kafka-bootstrap.kafka:9093": guarded.guarded, "qdrant.qdrant:6333": qdrant}
    rehearsed("production", render, neighbours, secrets, tmp_path, "rehearsal_production.json")


def rehearsed(
    profile: str, render: Render, neighbours: Mapping[str, str], secrets: Secrets, folder: Path, kept: str
) -> None:
    """0 failed requests, 0 lost documents, 0 restarts; the result is kept in a file of this name."""
    (store,) = [address for name, address in neighbours.items() if name.startswith("qdrant")]
    with running(folder / "pods", secrets, neighbours) as cluster:
        result = rehearse(profile, cluster, render, secrets["spanstream-keys"]["token"], f"http://{store}")
    said(str(result))
    assert (result.failed, result.violations, result.restarts) == ({"writes": 0, "searches": 0}, [], 0)
    result.save(ROOT / "bench-results" / kept)
