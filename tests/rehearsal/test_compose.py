"""docker/compose.yaml as processes: brought up in the order of its conditions, used through its ports, watched, and taken down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from spanstream.runtime.identity import DEFAULT_TENANT
from spanstream.runtime.key_file import create_key
from spanstream.standalone.broker import BrokerError, LocalBroker
from tests.conftest import ROOT, absent
from tests.contract.test_compose import COMPOSE, OURS, module
from tests.fixtures.prometheus import Prometheus, tool
from tests.rehearsal import addresses
from tests.rehearsal.cluster import Failed
from tests.rehearsal.compose import Project
from tests.rehearsal.manifests import Files, NotRehearsed
from tests.rehearsal.test_cluster import STUB

FILE = ROOT / "docker/compose.yaml"
PATIENCE = 10.0  # eight services share this machine's cores
SMOKE_SECONDS = 600
PUBLISHED = {8080: "gateway", 8081: "ingestor-api", 9090: "prometheus"}


@pytest.fixture(autouse=True)
def _many_addresses() -> None:
    if not addresses.usable():
        pytest.skip("this system has one loopback address alone, and each service needs its own")


class ComposedBroker(LocalBroker):
    """A real Kafka with the settings that the file gives its image, but for where it listens and what it writes to."""

    def _configure(self, java: list[str]) -> None:
        super()._configure(java)
        elsewhere = re.compile("listener|quorum|log.dirs")
        given = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in COMPOSE["services"]["kafka"]["environment"].items()
        }
        lines = [f"{name}={value}\n" for name, value in given.items() if not elsewhere.search(name)]
        self._properties.write_text(self._properties.read_text() + "".join(lines))


@contextmanager
def running(project: Project) -> Iterator[Project]:
    try:
        project.up()
        yield project
    finally:
        project.down()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.timeout(3600)
def test_the_compose_file_comes_up_takes_a_document_and_finds_it(long: bool, tmp_path: Path) -> None:
    """1 up, 2 a document through the published ports, 3 Prometheus reaches every target and has the alerts, 4 down: all end with 0."""
    if not long:
        pytest.skip("`make rehearse` alone: every service, and a model")
    keys = tmp_path / "docker/secrets/keys.json"
    keys.parent.mkdir(parents=True)
    token = create_key(keys, "me", DEFAULT_TENANT)
    compose = COMPOSE | {"secrets": {"keys": {"file": str(keys)}}}
    broker = ComposedBroker(tmp_path / "kafka")
    died: list[BaseException] = []
    try:
        broker.start(died.append)
    except BrokerError as error:
        absent(f"a local Kafka ({error})")
    commands = {name: ["python", "-m", module(service)] for name, service in OURS.items()} | {
        "qdrant": ["python", str(ROOT / "tests/rehearsal/qdrant.py"), "0.0.0.0", "6333"],
        "prometheus": [tool("prometheus"), "--config.file", "/etc/prometheus/prometheus.yml"],
    }
    outside = {"kafka": lambda: not broker.unready(), "grafana": lambda: True}
    neighbours = {"kafka:9092": broker.url.removeprefix("kafka://")}
    project = Project(FILE, compose, tmp_path / "services", commands, outside, neighbours, patience=PATIENCE)
    watching = project.services["prometheus"]
    watching.command = [
        *watching.command,
        *("--storage.tsdb.path", "/prometheus", "--web.listen-address", f"{watching.address}:9090"),
    ]
    try:
        with running(project):  # 1
            gateway, ingest, prometheus = (f"http://{project.published(port)}" for port in PUBLISHED)
            asked = {"GATEWAY_URL": gateway, "INGEST_URL": ingest, "TOKEN": token, "SECONDS": str(SMOKE_SECONDS)}
            smoke = [sys.executable, str(ROOT / "charts/spanstream/files/smoke.py")]
            done = subprocess.run(smoke, env=os.environ | asked, capture_output=True, text=True, check=False)  # 2
            assert done.stdout == "smoke: sent, searchable, found, deleted\n", done.stderr
            all_targets_are_up(Prometheus(prometheus))  # 3
        codes = {name: one.process.returncode for name, one in project.services.items() if one.process}  # 4
        assert codes == dict.fromkeys([*OURS, "blobs", "prometheus"], 0) | {"qdrant": codes["qdrant"]}
    finally:
        broker.stop(time.monotonic() + 10)
    assert not died


def all_targets_are_up(prometheus: Prometheus) -> None:
    def up() -> bool:
        targets = prometheus.get("targets")["activeTargets"]
        assert {target["labels"]["service"] for target in targets} == set(OURS) - {"topics"}
        return all(target["health"] == "up" for target in targets)

    prometheus.until(up, "not all targets are up")
    assert prometheus.get("rules")["groups"], "no alerts"


# --- The rehearsal itself, with a service of a few lines ---


def stub(**more: Any) -> dict[str, Any]:
    check = "import urllib.request as http; http.urlopen('http://127.0.0.1:8080/readyz', timeout=60)"
    return {
        "image": "stub:1.0.0",
        "restart": "unless-stopped",
        "entrypoint": STUB,
        "environment": {"HOST": "0.0.0.0", "PORT": "8080"},
        "healthcheck": {"test": ["CMD", "python", "-c", check], "interval": "1s", "timeout": "60s", "retries": 3},
        **more,
    }


def project(folder: Path, **services: Any) -> Project:
    compose = {"services": services, "volumes": {"shared": None, "prometheus": None}}
    return Project(FILE, compose, folder, {}, {}, {}, pace=0.2)


def writes(text: str, **more: Any) -> dict[str, Any]:
    """One that ends: it puts a word at the end of a file that all share."""
    code = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    return {
        "image": "stub:1.0.0",
        "entrypoint": ["python", "-c", code, "/srv/log", text],
        "volumes": ["shared:/srv"],
        **more,
    }


def test_each_starts_once_those_before_it_are_as_it_wants(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        last=stub(
            depends_on={
                "second": {"condition": "service_completed_successfully"},
                "web": {"condition": "service_healthy"},
            }
        ),
        second=writes("two", depends_on={"first": {"condition": "service_completed_successfully"}}),
        first=writes("one", depends_on=["web"]),
        web=stub(),
    )
    with running(made):
        assert (tmp_path / "claims/shared/log").read_text() == "onetwo"
        started = sorted(made.services.values(), key=lambda one: one.started_at)
        assert [one.name for one in started] == ["web", "first", "second", "last"]
    assert made.down() == dict.fromkeys(made.services, 0)


def test_a_mounted_file_names_addresses_and_folders_that_are_here(tmp_path: Path) -> None:
    made = project(tmp_path, prometheus=COMPOSE["services"]["prometheus"])
    mounts = made.mounts(made.services["prometheus"])
    config, rules = mounts["/etc/prometheus"], mounts["/etc/prometheus/rules"]
    assert isinstance(config, Files)
    assert isinstance(rules, Files)
    told = yaml.safe_load(config.contents["prometheus.yml"])
    assert told["rule_files"] == [f"{tmp_path}/prometheus/etc/prometheus/rules/*.yaml"]
    assert "spanstream.yaml" in rules.contents


def test_what_is_unhealthy_is_never_up_and_holds_up_who_waits_for_it(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        web=stub(environment={"HOST": "0.0.0.0", "PORT": "8080", "READY": "no"}),
        after=stub(depends_on={"web": {"condition": "service_healthy"}}),
    )
    with pytest.raises(Failed, match="web is unhealthy"), running(made):
        pass
    assert not made.services["after"].started_at


def test_what_ends_before_its_time_fails_with_its_words(tmp_path: Path) -> None:
    with (
        pytest.raises(Failed, match="no broker"),
        running(project(tmp_path, topics=writes("", entrypoint=["python", "-c", "raise SystemExit('no broker')"]))),
    ):
        pass


def test_a_field_that_is_not_rehearsed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRehearsed, match="pid"):
        project(tmp_path, web=stub(pid="host"))
