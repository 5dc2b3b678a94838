"""Every profile and toggle renders; what cannot work is refused with a line that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.contract.charts.conftest import Render
from tests.contract.charts.pods import CASES, IDS, pods
from tools import chart_schema
from tools.helm import PROFILES, Chart, Refused

CHARTS = ROOT / "charts"


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_pass_the_linter(chart: Chart, profile: str) -> None:
    assert "0 chart(s) failed" in chart.lint(profile)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_profile_and_toggle_renders_what_names_itself_once(render: Render, case: tuple[str, ...]) -> None:
    found = [(one["kind"], one["metadata"]["name"]) for one in render(*case)]
    assert len(found) == len(set(found)) > 20
    for one in render(*case):
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "spanstream"
        assert "namespace" not in one["metadata"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("gatway.replicas=2", "gatway"),
        ("gateway.replcas=2", "replcas"),
        ("gateway.settings.GATEWAY_SEARCHES_AT_ONE=2", "GATEWAY_SEARCHES_AT_ONE"),
        ("gateway.settings.GATEWAY_SEARCHES_AT_ONCE=0", "GATEWAY_SEARCHES_AT_ONCE"),
        ("gateway.settings.STORE_URL=http://elsewhere:6333", "STORE_URL"),
        ("encoder.settings.ENCODER_TARGET_TOKENS=9", "ENCODER_TARGET_TOKENS"),
        ("gateway.resources.limits=null", "limits"),
        ("gateway.ports.http=9000", "gateway/ports"),
        ("encoder.workload=StatefulSet", "workload"),
        ("global.kafka.bootstrapServers=kafka", "bootstrapServers"),
        ("global.store.url=qdrant:6333", "store"),
        ("global.auth.keysSecret.name=", "keysSecret"),
        ("ingress.enabled=true", "ingress"),
        ("strimzi.topics=true", "strimzi"),
        ("strimzi.users=true", "strimzi"),
        ("global.kafka.username=me", "caSecret"),
        ("global.index.compression=zip", "compression"),
        ("indexer.replicas=7", "indexer: 7 replicas with 1 consumers each exceed global.kafka.partitions (6)"),
        ("embedder.replicas=4", "embedder: 4 replicas with 2 consumers each exceed global.kafka.partitions (6)"),
        ("global.kafka.partitions=12", "global.kafka.partitions (12) exceeds the 6 that the topics job creates"),
        ("gateway.autoscaling.minReplicas=9", "gateway.autoscaling.minReplicas (9)"),
        ("gateway.autoscaling.kind=lag", "gateway.autoscaling.kind"),
        ("indexer.autoscaling.kind=lag", "global.prometheus.url"),
        ("indexer.workload=RayService", "indexer.workload"),
        ("global.auth.jwksSecret.name=provider", "ingestorApi.settings.AUTH_JWT_ISSUER"),
        ("gateway.settings.AUTH_JWT_AUDIENCE=search", "gateway.settings.AUTH_JWT_AUDIENCE"),
        ("gateway.settings.AUTH_JWKS_FILE=/tmp/keys", "AUTH_JWKS_FILE"),
    ],
)
def test_a_wrong_value_is_refused_by_name(chart: Chart, wrong: str, named: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.render("small", wrong)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            "encoder.ray.cpusPerReplica=3",
            "encoder.ray.cpusPerReplica (3) must not exceed encoder.resources.requests.cpu (2)",
        ),
        ("encoder.resources.requests.cpu=500m", "encoder.ray.cpusPerReplica (2) must not exceed"),
        ("encoder.ray.gpusPerReplica=1", "encoder.ray.gpusPerReplica (1) must not exceed"),
        ("encoder.shmSize=", "encoder.shmSize"),
        ("encoder.ray.replicas=2", "encoder.ray.maxReplicas (1)"),
    ],
)
def test_a_ray_cluster_that_could_not_work_is_refused_by_name(chart: Chart, wrong: str, named: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.render("small", "encoder.workload=RayService", wrong)
    assert named in str(refused.value)


def test_the_three_addresses_have_no_default() -> None:
    values = yaml.safe_load((CHARTS / "spanstream/values.yaml").read_text())
    assert not values["global"]["kafka"]["bootstrapServers"]
    assert not values["global"]["store"]["url"]
    assert not values["global"]["auth"]["keysSecret"]["name"]


def test_large_numbers_arrive_as_the_integers_they_are(render: Render) -> None:
    (worker,) = [
        one
        for one in render("dev")
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "spanstream-ingestor-worker"
    ]
    assert worker["data"]["INGESTOR_PARSE_MEMORY_BYTES"] == "268435456"


def test_a_changed_setting_restarts_the_pods_that_have_it_and_no_others(render: Render) -> None:
    def sums(resources: list[dict[str, Any]]) -> dict[str, str]:
        return {
            one["metadata"]["name"]: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for one in resources
            if one["kind"] == "Deployment"
        }

    before = sums(render("small"))
    after = sums(render("small", "gateway.settings.GATEWAY_MAX_STANDING_QUERIES=50"))
    assert {name for name in before if before[name] != after[name]} == {"spanstream-gateway"}


def test_a_digest_goes_before_a_tag(render: Render) -> None:
    digest = "sha256:" + "0" * 64
    images = {
        pod.component: pod.container["image"]
        for pod in pods(render("small", f"global.image.digests.gateway={digest}", "global.image.tag=v7"))
    }
    assert images["gateway"] == f"spanstream/gateway@{digest}"
    assert images["indexer"] == "spanstream/indexer:v7"


def test_the_settings_in_the_schema_are_the_services_own() -> None:
    written = (CHARTS / "spanstream/values.schema.json").read_text()
    assert json.loads(written) == chart_schema.schema(), "run `make charts-schema`"


def test_every_value_is_described() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, value in schema.get("properties", {}).items():
            here = f"{path}.{name}"
            if not ("description" in value or "$ref" in value or "/" in path):
                found.append(here)
            found += undescribed(value, here)
        return found

    for chart in ("service", "spanstream"):
        assert not undescribed(json.loads((CHARTS / chart / "values.schema.json").read_text()), chart)


def test_the_registry_of_topics_is_the_events_own() -> None:
    def topics(path: Path) -> Any:
        return yaml.safe_load(path.read_text())

    assert topics(CHARTS / "spanstream/files/topics.yaml") == topics(ROOT / "proto/topics.yaml")
