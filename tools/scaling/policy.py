"""How many pods there may be and what they follow, as the rendered charts say: nothing is copied here that could drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spanstream.embedder.settings import DeploymentSettings

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a number may change, in seconds: what was wanted all through `window`, and of these limits the wider.

    `percent` of what there were, or `pods`, in `period`.
    """

    window: float
    percent: float
    pods: int
    period: float


# What Kubernetes does where a HorizontalPodAutoscaler says nothing.
UP = Pace(window=0.0, percent=100.0, pods=4, period=15.0)
DOWN = Pace(window=300.0, percent=100.0, pods=0, period=15.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a number of pods follows. Exactly one of `lag_seconds` (with `lag_records`), `busy` and `requests` is set.

    lag_seconds    seconds of lag aimed at, whatever the number of pods
    lag_records    records waiting for each pod
    busy           share of the requested cores in use
    requests       ongoing requests a pod, or `tokens`, whichever asks for more
    """

    least: int
    most: int
    up: Pace
    down: Pace
    lag_seconds: float | None = None
    lag_records: float | None = None
    busy: float | None = None
    requests: float | None = None
    tokens: float | None = None
    polling: float = 15.0  # seconds between two looks
    cooldown: float = 0.0  # seconds without anything to do after which there are none, where `least` is 0


def policy(component: str, resources: Iterable[Resource]) -> Policy:
    """Of a component among rendered resources; raises LookupError where its number is fixed."""
    name = f"spanstream-{component}"
    for one in resources:
        if one["metadata"]["name"] == name and (read := _READERS.get(one["kind"])):
            return read(one["spec"])
    raise LookupError(f"{component} does not scale in this profile")


def _lag(spec: Resource) -> Policy:
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    triggers = {one["type"]: one["metadata"] for one in reversed(spec["triggers"])}
    return Policy(
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        up=_pace(behavior["scaleUp"], UP),
        down=_pace(behavior["scaleDown"], DOWN),
        lag_seconds=float(triggers["prometheus"]["threshold"]),
        lag_records=float(triggers["kafka"]["lagThreshold"]),
        polling=spec["pollingInterval"],
        cooldown=spec["cooldownPeriod"],
    )


def _cores(spec: Resource) -> Policy:
    behavior = spec.get("behavior", {})
    return Policy(
        least=spec["minReplicas"],
        most=spec["maxReplicas"],
        up=_pace(behavior.get("scaleUp", {}), UP),
        down=_pace(behavior.get("scaleDown", {}), DOWN),
        busy=spec["metrics"][0]["resource"]["target"]["averageUtilization"] / 100,
    )


def _ray(spec: Resource) -> Policy:
    """Ray Serve asks for replicas by `embedder/scaling.py`; KubeRay brings the nodes."""
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    fields = DeploymentSettings.model_fields
    up, down = (fields[name].default for name in ("scale_up_seconds", "scale_down_seconds"))
    return Policy(
        least=group["minReplicas"],
        most=group["maxReplicas"],
        up=Pace(up, 0.0, group["maxReplicas"], 1.0),
        down=Pace(down, 0.0, group["maxReplicas"], 1.0),
        requests=fields["target_requests"].default,
        tokens=fields["target_tokens"].default,
    )


_READERS = {"ScaledObject": _lag, "HorizontalPodAutoscaler": _cores, "RayService": _ray}


def _pace(behavior: Resource, default: Pace) -> Pace:
    found = behavior.get("policies", [])
    if not found:
        window = behavior.get("stabilizationWindowSeconds", default.window)
        return Pace(window, default.percent, default.pods, default.period)
    by_kind = {one["type"]: one for one in found}
    (period,) = {one["periodSeconds"] for one in found}
    return Pace(
        behavior.get("stabilizationWindowSeconds", default.window),
        float(by_kind.get("Percent", {"value": 0})["value"]),
        by_kind.get("Pods", {"value": 0})["value"],
        period,
    )
