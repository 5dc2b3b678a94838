"""charts/spanstream moves a live index to another release of the encoder, by three upgrades under load (`make rehearse`): decision 0033.

The other release is the model that the installation carries with a third of its dimensions, a release file in a claim.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spanstream.client import Client
from spanstream.encoder.encoder import EncoderInfo
from spanstream.encoder.opening import open_encoder
from spanstream.events.segmenter import segmenter
from spanstream.standalone.migration.__main__ import INTERRUPTED
from spanstream.store.generation import Generation
from spanstream.store.opening import open_store
from tests.chaos import checker
from tests.chaos.kept import RESULTS
from tests.fixtures.editions import SOURCE, Traffic
from tests.rehearsal.cluster import SECONDS, Cluster, Failed, Job
from tests.rehearsal.conftest import STORE_KEY, Secrets
from tests.rehearsal.index import look
from tests.rehearsal.load import Load, last_versions, settled
from tests.rehearsal.manifests import jobs
from tests.rehearsal.result import Moved, by_service
from tests.rehearsal.test_bad_manifests import NOWHERE
from tests.rehearsal.test_rehearsal import ENCODER, GATEWAY, INGEST, SMOKE_SECONDS, Render, running, said, url
from tools.helm import Chart

OTHER = "spanstream-other-encoder:8082"
RELEASE = "{release: minilm-128, model_name_or_path: minilm, truncate_dim: 128}\n"
# As deployment.md says: documents move to the other encoder, all services ask it, it is alone.
OWN = (
    "otherEncoder.settings.ENCODER_MODEL=/models/other.yaml",
    "otherEncoder.volumes.models.mountPath=/models",
    "otherEncoder.volumes.models.claim=models",
)
MOVING = (*OWN, "global.migration.to=otherEncoder")
MOVED = (*MOVING, "global.index.encoder=otherEncoder")
ALONE = (*OWN, "global.index.encoder=otherEncoder")
EDITIONS = 16  # documents of which it is known what a search has to show
PAUSE_SECONDS = 0.5
LOOK_SECONDS = 10.0  # a question is a process that starts


class Moving:
    """The index of a cluster, moved by its administrator."""

    def __init__(self, cluster: Cluster, render: Render) -> None:
        self.cluster, self._render = cluster, render
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - began, 1)
        said(f"{what}: {self.seconds[what]} s")

    def install(self) -> None:
        """The profile as it is, until its pods are ready."""
        self.cluster.install(self._render())
        self.cluster.wait_available()

    def test(self, *values: str) -> str:
        """What `helm test` says of these values."""
        return self.cluster.test(self._render(*values))

    def upgrade(self, *values: str) -> None:
        """Until its pods are what they should be."""
        self.cluster.upgrade(self._render(*values))
        self.cluster.wait_available()

    @property
    def job(self) -> Job:
        (found,) = self.cluster.jobs.values()
        return found

    def ask(self, *words: str) -> dict[str, Any]:
        """`spanstream migrate` in the job's pod. Raises Failed."""
        command = ("python", "-m", "spanstream.client", "migrate", *words, "--json")
        done = self.cluster.execute(self.job.pod, *command)
        if done.returncode:
            raise Failed(f"{words}: {done.stdout}{done.stderr}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def reach(self, stage: str) -> dict[str, Any]:
        """Ask until it is there. Raises Failed."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                told = self.ask("status")
                if told["migration"] and told["migration"]["stage"] == stage:
                    return told
            except Failed as error:  # it does not listen yet
                told = {"error": str(error)}
            if time.monotonic() > deadline:
                raise Failed(f"{stage}: {told}\n{self.job.pod.log}")
            time.sleep(LOOK_SECONDS)


def kept(store: str) -> tuple[str | None, list[str]]:
    """The generation that is live, and all that the index server keeps."""
    opened = open_store(store, STORE_KEY)
    try:
        return opened.live(), sorted(opened.generations())
    finally:
        opened.close()


def released(place: str) -> tuple[EncoderInfo, str]:
    """Of an encoder: what it is, and the name of its generation."""
    encoder = open_encoder(place)
    info = encoder.info()
    encoder.close()
    return info, Generation(info.release, info.dimension, segmenter("sentences")).name


def rehearse(moving: Moving, token: str, store: str) -> Moved:
    """1 install, 2 move, back, and there again, 3 all services ask the new encoder, 4 it is alone, 5 count what went wrong."""
    cluster = moving.cluster
    with moving.timed("installed"):
        moving.install()  # 1
    gateway, ingest = url(cluster, GATEWAY), url(cluster, INGEST)
    _, old = released(url(cluster, ENCODER))
    load = Load(gateway, ingest, token)
    with (
        Client(gateway, ingest_url=ingest, api_key=token) as one,
        Client(gateway, ingest_url=ingest, api_key=token) as other,
    ):
        traffic = Traffic([one, other], EDITIONS, PAUSE_SECONDS)

        def goes_on() -> None:
            cluster.wait(load.passed(10), "requests")
            traffic.goes_on()
            said(f"{load.counts}, failed {load.failures}, compared {traffic.queries}")

        with load, moved_about(traffic):
            goes_on()
            with moving.timed("filled and switched"):
                moving.upgrade(*MOVING)  # 2
                told = moving.reach("switched")
            info, new = released(url(cluster, OTHER))
            assert (told["release"], kept(store)) == (info.release, (new, sorted([old, new])))
            goes_on()
            with moving.timed("rolled back"):
                assert moving.ask("rollback")["settled"]
            assert kept(store)[0] == old
            goes_on()
            with moving.timed("switched again"):
                moving.ask("apply", f"http://{OTHER}", "--no-wait")
                moving.reach("switched")
            assert kept(store)[0] == new
            goes_on()
            with moving.timed("given up"):
                moving.upgrade(*MOVED)  # 3
                cluster.wait(lambda: moving.job.pod.over, "the end of the migration")
            assert moving.job.succeeded, moving.job.pod.log
            assert kept(store) == (new, [new])
            goes_on()
            replaced = by_service(cluster.ended())
            with moving.timed("alone"):
                moving.upgrade(*ALONE)  # 4
            assert "spanstream-encoder" not in cluster.deployments
            assert cluster.jobs == {}
            goes_on()
        cluster.wait(settled(gateway, token, load.history), "the last document")  # 5
        shown = {f"d{number}" for number, edition in traffic.shown.items() if edition >= 0}
        (wiki,) = [each for each in one.sources() if each.name == SOURCE]
        assert wiki.documents == len(shown)
    assert moving.test(*ALONE) == "smoke: sent, searchable, found, deleted\n"
    versions = last_versions(load.history)
    pods = cluster.pods()
    cluster.close()
    for pod in [*pods, *cluster.ended()]:
        stopped = INTERRUPTED if "-migration-" in pod.name else 0
        assert pod.code in (0, stopped), f"{pod.name}\n{pod.log}"
        assert not pod.killed, f"{pod.name}\n{pod.log}"
    load.history.final = look(store, STORE_KEY, info, versions, 10**9)
    return Moved(
        "small",
        os.cpu_count() or 0,
        moving.seconds,
        load.counts,
        {kind: len(those) for kind, those in load.failures.items()},
        load.resent,
        len(versions),
        [str(each) for each in checker.check(load.history)],
        3,
        traffic.queries,
        traffic.wrong,
        replaced,
        sum(pod.restarts for pod in [*pods, *cluster.ended()]),
    )


@contextmanager
def moved_about(traffic: Traffic) -> Iterator[None]:
    """Writers and readers meanwhile."""
    traffic.begin()
    try:
        yield
    finally:
        traffic.end()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.timeout(5400)
@pytest.mark.promise("I23")
def test_three_upgrades_move_the_index_to_another_encoder_and_nobody_notices(
    broker: str, qdrant: str, chart: Chart, secrets: Secrets, tmp_path: Path
) -> None:
    def render(*more: str) -> list[Any]:
        return chart.render("small", f"smoke.seconds={SMOKE_SECONDS}", *more)

    models = tmp_path / "pods" / "claims" / "models"
    models.mkdir(parents=True)
    (models / "other.yaml").write_text(RELEASE)
    with running(tmp_path / "pods", secrets, {"kafka:9092": broker, "qdrant:6333": qdrant}) as cluster:
        result = rehearse(Moving(cluster, render), secrets["spanstream-keys"]["token"], f"http://{qdrant}")
    said(str(result))
    assert (result.failed, result.violations, result.wrong) == ({"writes": 0, "searches": 0}, [], [])
    assert result.restarts == 0
    result.save(RESULTS / "rehearsal_migration.json")


def test_the_jobs_pod_says_what_it_waits_for_and_is_asked_in_it(chart: Chart, secrets: Secrets, tmp_path: Path) -> None:
    """The short form: without any neighbour."""
    neighbours = dict.fromkeys(("kafka:9092", "qdrant:6333", ENCODER, OTHER), NOWHERE)
    with running(tmp_path, secrets, neighbours) as cluster:
        cluster.install(list(jobs(chart.render("small", *MOVING)).values()))
        moving = Moving(cluster, lambda *_: [])
        pod = moving.job.pod
        cluster.wait(lambda: "does not answer" in pod.asked("readinessProbe")[1], "what it waits for")
        with pytest.raises(Failed, match="cannot be reached"):  # the index server is asked first
            moving.ask("status")
        assert (pod.asked("livenessProbe")[0], pod.restarts) == (200, 0)
    assert (pod.code, pod.killed) == (INTERRUPTED, False), pod.log
