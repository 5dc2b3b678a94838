"""What a plan says and what is simulated are the charts': keys that exist, numbers that are rendered."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spanstream.standalone.planning import calibration, fragment
from spanstream.standalone.planning.capacity import ENCODER_CORES, MEMBERS, plan
from spanstream.standalone.planning.workload import Workload
from spanstream.store.compression import Compression
from tests.conftest import ROOT
from tests.contract.charts.conftest import Render, merged, settings
from tools.helm import PROFILES, Refused
from tools.scaling.policy import policy
from tools.scaling.scenarios import GROUPS, scenarios

SMALL = Workload(1_000_000, 1, 5, freshness_seconds=3600)
LARGE = Workload(1_000_000_000, 400, 300, tokens_per_document=600, compression=Compression.TURBO4)
GPU = Workload(1_000_000_000, 400, 300, gpu_tokens_per_second=1e6, freshness_seconds=900)
PLANNED = {
    "small": (SMALL, "production"),
    "large": (LARGE, "production"),
    "gpu": (GPU, "gpu"),
    "gpu alone": (GPU, "production"),
}


def values(workload: Workload) -> dict[str, Any]:
    return fragment.values(plan(workload, calibration.read().costs), workload)


@pytest.mark.parametrize("name", PLANNED)
def test_a_plans_values_are_keys_of_the_chart(name: str) -> None:
    workload, profile = PLANNED[name]
    chart = ROOT / "charts/spanstream"
    whole = yaml.safe_load((chart / "values.yaml").read_text())
    for file in PROFILES[profile]:
        whole = merged(whole, yaml.safe_load((chart / file).read_text()))
    whole = merged(whole, values(workload))
    umbrella, service = (
        Draft202012Validator(json.loads((ROOT / f"charts/{chart}/values.schema.json").read_text()))
        for chart in ("spanstream", "service")
    )
    defaults = yaml.safe_load((ROOT / "charts/service/values.yaml").read_text())
    assert [each.message for each in umbrella.iter_errors(whole)] == []
    for name in (*MEMBERS, "ingestorApi", "encoder", "gateway"):
        assert [each.message for each in service.iter_errors(merged(defaults, whole[name]))] == [], name


@pytest.mark.parametrize("name", PLANNED)
def test_a_plans_values_render(render: Render, name: str) -> None:
    workload, profile = PLANNED[name]
    planned = values(workload)
    resources = render(profile, *settings(planned))
    for component, service in GROUPS.items():
        scaling = planned[service]["autoscaling"]
        found = policy(component, resources)
        assert (found.least, found.most, found.lag_seconds) == (
            scaling["minReplicas"],
            scaling["maxReplicas"],
            scaling["lagSeconds"],
        )
    topics = {one["spec"]["partitions"] for one in resources if one["kind"] == "KafkaTopic"}
    assert topics == {planned["global"]["kafka"]["partitions"]}


def test_a_plan_for_the_small_profile_says_what_to_set(render: Render) -> None:
    planned = values(SMALL)
    with pytest.raises(Refused, match=r"global\.prometheus\.url"):
        render("small", *settings(planned))
    said = fragment.text(planned)
    assert all(name in said for name in ("global.prometheus.url", "topics.job"))
    assert render("small", *settings(planned), "global.prometheus.url=http://prometheus:9090", "topics.job=false")


def test_what_a_plan_needs_is_said_of_it_alone() -> None:
    large, gpu = fragment.text(values(LARGE)), fragment.text(values(GPU))
    assert ("strimzi.topics" in large, "KubeRay" in large) == (True, False)
    assert "KubeRay" in gpu
    assert yaml.safe_load(gpu) == values(GPU)
    assert "\notherEncoder: *encoder\n" in gpu
    assert yaml.safe_load(large)["otherEncoder"] == values(LARGE)["encoder"]


def test_the_planner_counts_consumers_and_cores_as_the_chart_does() -> None:
    chart = yaml.safe_load((ROOT / "charts/spanstream/values.yaml").read_text())
    assert chart["global"]["kafka"]["partitions"] == fragment.PARTITIONS
    assert {name: chart[name]["consumer"]["membersPerPod"] for name in MEMBERS} == MEMBERS
    production = yaml.safe_load((ROOT / "charts/spanstream/values-production.yaml").read_text())
    assert int(production["encoder"]["resources"]["requests"]["cpu"]) == ENCODER_CORES


def test_what_is_simulated_is_what_is_rendered(render: Render) -> None:
    profiles = {profile: render(profile) for profile in ("production", "gpu")}
    first, *_, last = scenarios(profiles, calibration.read().costs)
    embedder = next(stage for stage in first.stages if stage.name == "embedder").policy
    assert (embedder.least, embedder.most, embedder.lag_seconds, embedder.lag_records) == (0, 12, 30, 1000)
    assert (embedder.polling, embedder.cooldown) == (15, 300)
    assert (embedder.up.window, embedder.up.percent, embedder.up.pods, embedder.up.period) == (30, 100, 1, 60)
    assert (embedder.down.window, embedder.down.pods, embedder.down.period) == (300, 1, 60)
    assert (first.encoder.policy.least, first.encoder.policy.most, first.encoder.policy.busy) == (3, 24, 0.8)
    assert (last.encoder.policy.least, last.encoder.policy.most) == (2, 8)
    assert first.partitions == 24
    with pytest.raises(LookupError, match="topics"):
        policy("topics", profiles["production"])
