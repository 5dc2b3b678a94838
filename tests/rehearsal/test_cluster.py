"""The rehearsal itself, with a service of a few lines: it sees what it is there to see."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.conftest import ROOT
from tests.rehearsal import addresses
from tests.rehearsal.cluster import LATE_SECONDS, Cluster, Failed
from tests.rehearsal.manifests import NotRehearsed, Template, hooks, replicas

LABELS = {"app.kubernetes.io/component": "stub"}
STUB = ["python", str(ROOT / "tests/rehearsal/stub.py")]


@pytest.fixture(autouse=True)
def _many_addresses() -> None:
    if not addresses.usable():
        pytest.skip("this system has one loopback address alone, and each pod needs its own")


def manifests(version: str = "one", pre_stop: int = 5, surge: int = 1, **variables: str) -> list[dict[str, Any]]:
    probe = {
        "httpGet": {"path": "/livez", "port": "http"},
        "periodSeconds": 1,
        "timeoutSeconds": 5,
        "failureThreshold": 60,
    }
    container = {
        "name": "stub",
        "command": STUB,
        "envFrom": [{"configMapRef": {"name": "stub"}}],
        "env": [{"name": "VERSION", "value": version}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "startupProbe": probe,
        "livenessProbe": probe,
        "readinessProbe": probe | {"httpGet": {"path": "/readyz", "port": "http"}, "failureThreshold": 2},
    }
    if pre_stop:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": pre_stop}}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 30}
    return [
        {"kind": "ConfigMap", "metadata": {"name": "stub"}, "data": {"HOST": "0.0.0.0", "PORT": "8080"} | variables},
        {
            "kind": "Service",
            "metadata": {"name": "stub"},
            "spec": {"selector": LABELS, "ports": [{"port": 8080, "targetPort": "http"}]},
        },
        {
            "kind": "Deployment",
            "metadata": {"name": "stub"},
            "spec": {
                "replicas": 2,
                "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1 - surge}},
                "template": {"metadata": {"labels": LABELS}, "spec": spec},
            },
        },
        {
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "stub"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
        },
    ]


@contextmanager
def running(folder: Path, late: float = LATE_SECONDS) -> Iterator[Cluster]:
    made = Cluster(folder, {}, {}, 0.2, late)
    try:
        yield made
    finally:
        made.close()


class Asking:
    """A client that goes on asking, over a connection for each request, while its block runs."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: set[str] = set()  # the versions that answered
        self.failed = 0
        self._cluster, self._stop = cluster, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        self._cluster.wait(lambda: bool(self.seen or self.failed), "the first answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=f"http://{self._cluster.hosts['stub']}:8080", limits=limits) as client:
            while not self._stop.wait(0.02):
                try:
                    self.seen.add(client.get("/").text)
                except httpx.HTTPError:
                    self.failed += 1


@pytest.mark.parametrize("surge", [0, 1])
def test_an_upgrade_replaces_every_pod_and_fails_nothing(tmp_path: Path, surge: int) -> None:
    with running(tmp_path) as cluster:
        cluster.install(manifests(surge=surge))
        cluster.wait_available()
        with Asking(cluster) as asking:
            cluster.upgrade(manifests("two", surge=surge))
            cluster.wait_available()
            cluster.wait(lambda: "two" in asking.seen, "the new version")
        assert asking.failed == 0
        assert [pod.name for pod in cluster.pods()] == ["stub-3", "stub-4"]
        assert [(pod.code, pod.killed) for pod in cluster.ended()] == [(0, False)] * 2


def test_without_pre_stop_requests_fail_and_it_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path, late=3600) as cluster:
        cluster.install(manifests(pre_stop=0))
        cluster.wait_available()
        with Asking(cluster) as asking:
            assert cluster.evict(cluster.pods()[0])
            cluster.wait(lambda: asking.failed > 0, "a request to a pod that is gone")


def test_a_budget_refuses_the_second_eviction_until_the_first_pod_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install(manifests())
        cluster.wait_available()
        first, second = cluster.pods()
        assert cluster.evict(first)
        assert not cluster.evict(second)
        cluster.wait_available()
        assert cluster.evict(second)


def test_a_version_that_is_never_ready_replaces_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install(manifests())
        cluster.wait_available()
        cluster.upgrade(manifests("two", READY="no"))
        cluster.wait(lambda: any(pod.asked("readinessProbe")[0] == 503 for pod in cluster.pods()), "the new pod")
        assert sum(pod.ready for pod in cluster.pods()) == 2
        assert not cluster.ended()


def test_a_process_that_ends_is_started_again_and_counted(tmp_path: Path) -> None:
    wrong = manifests(HOST="no address")
    with running(tmp_path) as cluster:
        cluster.install(wrong)
        cluster.wait(lambda: bool(cluster.pods()) and cluster.pods()[0].restarts > 0, "the restart")
        assert not cluster.pods()[0].ready
        assert "gaierror" in cluster.pods()[0].log


def test_a_missing_secret_is_named_and_waited_for(tmp_path: Path) -> None:
    made = manifests()
    container = made[2]["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "key"}}})
    with running(tmp_path) as cluster:
        cluster.install(made)
        cluster.wait(lambda: any("mine" in pod.waiting for pod in cluster.pods()), "the refusal")
        assert cluster.pods()[0].waiting == 'CreateContainerConfigError: Secret "mine" not found'
        cluster.secrets["mine"] = {"key": "secret"}
        cluster.wait_available()


def test_a_job_that_fails_ends_the_install_with_its_words(tmp_path: Path) -> None:
    job = {
        "kind": "Job",
        "metadata": {"name": "job", "annotations": {"helm.sh/hook": "pre-install,pre-upgrade"}},
        "spec": {
            "backoffLimit": 1,
            "activeDeadlineSeconds": 60,
            "template": {
                "metadata": {"labels": {}},
                "spec": {"containers": [{"name": "job", "command": ["python", "-c", "raise SystemExit('no broker')"]}]},
            },
        },
    }
    with running(tmp_path) as cluster:
        with pytest.raises(Failed, match="no broker"):
            cluster.install([job, *manifests()])
        assert cluster.deployments == {}


def job(name: str = "job-1", code: str = "", limit: int = 50, **more: Any) -> dict[str, Any]:
    """One that is no hook: it writes a line each time that it is started, and does what `code` says."""
    begin = "import os, pathlib, signal, sys, time; starts = pathlib.Path(os.environ['TMPDIR'], 'starts'); "
    begin += "starts.open('a').write('x'); said = len(starts.read_text()); "
    container = {
        "name": "job",
        "command": ["python", "-c", begin + code],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "env": [{"name": "VERSION", "value": "one"}],
    }
    spec = {
        "containers": [container],
        "restartPolicy": "OnFailure",
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "terminationGracePeriodSeconds": 20,
    }
    template = {"metadata": {"labels": {"app.kubernetes.io/component": "job"}}, "spec": spec | more}
    return {"kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": limit, "template": template}}


LISTENS = "pathlib.Path(os.environ['TMPDIR'], 'listens').touch(); "
WAITS = f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); {LISTENS}[time.sleep(0.05) for _ in iter(int, 1)]"


def test_a_job_of_the_release_is_started_again_until_it_ends_with_0(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install([*manifests(), job(code="sys.exit(0 if said == 2 else 3)")])  # waits for none of it
        made = cluster.jobs["job-1"]
        cluster.wait(lambda: made.succeeded, "the job")
        assert (made.pod.restarts, made.failed) == (1, False)
        cluster.upgrade([*manifests(), job(code="sys.exit(0 if said == 2 else 3)")])  # the same: it has ended
        assert cluster.jobs["job-1"] is made
        assert (tmp_path / "job-1/tmp/starts").read_text() == "xx"


def test_a_job_that_fails_as_often_as_it_may_has_failed(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install([job(code="sys.exit(3)", limit=1)])
        made = cluster.jobs["job-1"]
        cluster.wait(lambda: made.failed, "the end")
        assert (made.pod.restarts, made.succeeded) == (1, False)


def test_a_job_that_is_rendered_no_more_is_asked_to_stop_and_another_takes_its_place(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install([job(code=WAITS)])
        first = cluster.jobs["job-1"].pod
        cluster.wait(lambda: (tmp_path / "job-1/tmp/listens").exists(), "the start")
        cluster.upgrade([job("job-2", code=WAITS)])
        assert set(cluster.jobs) == {"job-2"}
        cluster.wait(lambda: first.gone, "the end")
        assert (first.code, first.killed) == (7, False)
        assert cluster.ended() == [first]
        assert cluster.pods() == [cluster.jobs["job-2"].pod]


def test_a_jobs_template_cannot_change(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install([job(code=WAITS)])
        with pytest.raises(Failed, match="immutable"):
            cluster.upgrade([job(code=WAITS, terminationGracePeriodSeconds=5)])
        with pytest.raises(NotRehearsed, match="OnFailure"):
            cluster.upgrade([job("job-2", restartPolicy="Never")])


def test_a_command_is_run_beside_a_pods_own(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.install([job(code=WAITS)])
        cluster.wait(lambda: (tmp_path / "job-1/tmp/listens").exists(), "the start")
        code = "import os, sys; print(open(sys.argv[1]).read(), os.environ['VERSION'])"
        done = cluster.execute(cluster.jobs["job-1"].pod, "python", "-c", code, "/tmp/starts")
        assert (done.returncode, done.stdout) == (0, "x one\n"), done.stderr


def test_what_an_upgrade_renders_no_more_is_removed_and_comes_back(tmp_path: Path) -> None:
    other = [
        {**one, "metadata": {"name": "other"}} | ({"spec": _relabelled(one["spec"])} if "spec" in one else {})
        for one in manifests()
        if one["kind"] in ("Deployment", "Service")
    ]
    with running(tmp_path) as cluster:
        cluster.install([*manifests(), *other])
        cluster.wait_available()
        address = f"http://{cluster.hosts['other']}:8080"
        assert httpx.get(address).text == "one"
        gone = list(cluster.deployments["other"].pods)
        with Asking(cluster) as asking:
            cluster.upgrade(manifests())
            cluster.wait_available()
        assert asking.failed == 0  # of who stays
        assert set(cluster.deployments) == {"stub"}
        assert "other" not in cluster.hosts
        assert [(pod.gone, pod.code, pod.killed) for pod in gone] == [(True, 0, False)] * 2
        with pytest.raises(httpx.HTTPError):
            httpx.get(address)
        cluster.upgrade([*manifests(), *other])
        cluster.wait_available()
        assert httpx.get(f"http://{cluster.hosts['other']}:8080").text == "one"
        assert [pod.name for pod in cluster.deployments["other"].pods] == ["other-3", "other-4"]


def _relabelled(spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "other"}
    if "template" in spec:
        return spec | {"template": spec["template"] | {"metadata": {"labels": labels}}}
    return spec | {"selector": labels}


def test_what_the_rehearsal_does_not_know_is_refused() -> None:
    template = copy.deepcopy(manifests()[2]["spec"]["template"])
    template["spec"]["containers"][0]["args"] = ["--more"]
    with pytest.raises(NotRehearsed, match="args"):
        Template(template)


def test_a_pod_knows_its_name_and_any_other_field_is_refused() -> None:
    template = copy.deepcopy(manifests()[2]["spec"]["template"])
    asked = template["spec"]["containers"][0]["env"]
    asked.append({"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
    assert Template(template).container("stub-7", {"stub": {}}, {}).environment["ME"] == "stub-7"
    asked.append({"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    with pytest.raises(NotRehearsed, match="WHERE"):
        Template(template)


def test_hooks_come_in_order_and_replicas_from_the_autoscaler() -> None:
    def hook(name: str, weight: str) -> dict[str, Any]:
        notes = {"helm.sh/hook": "test", "helm.sh/hook-weight": weight}
        return {"kind": "Pod", "metadata": {"name": name, "annotations": notes}}

    found = hooks([hook("b", "1"), hook("a", "-1"), *manifests()], "test")
    assert [one["metadata"]["name"] for one in found] == ["a", "b"]
    made = manifests()
    del made[2]["spec"]["replicas"]
    scaler = {
        "kind": "ScaledObject",
        "metadata": {"name": "s"},
        "spec": {"scaleTargetRef": {"name": "stub"}, "minReplicaCount": 0},
    }
    assert replicas("stub", [*made, scaler]) == 2
    assert replicas("stub", [*made, scaler | {"spec": scaler["spec"] | {"minReplicaCount": 3}}]) == 3
