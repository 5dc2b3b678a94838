"""A plan as values of the chart: what differs from a profile, to be given after it (`-f values-production.yaml -f plan.yaml`;
of GPUs, whose nodes and memory it does not know, after `-f values-gpu.yaml` too)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from spanstream.standalone.planning.capacity import ENCODER_CORES, REACTION_SECONDS
from spanstream.standalone.planning.figures import Plan, Pods
from spanstream.standalone.planning.workload import Workload
from spanstream.store.compression import Compression

Values = dict[str, Any]
HEADROOM = 2  # times the pods of the peak that autoscaling may go to: for what no plan foresees
PARTITIONS = 6  # of topics.yaml
_OTHER = "otherEncoder"  # while documents move to another release, and after that: the same values
LAG_SECONDS = (5, 30)  # aimed at, at least and at most: a quarter of the freshness that is wanted


def values(plan: Plan, workload: Workload) -> Values:
    """Nested values; every key is one of charts/spanstream's."""
    found: Values = {"global": {"kafka": {"partitions": plan.partitions}}}
    if workload.compression is not Compression.NONE:
        found["global"]["index"] = {"compression": workload.compression.value}
    for pods in plan.pods:
        found[pods.service] = {"autoscaling": _scaling(plan, pods, workload), "resources": _resources(pods)}
    encoder = plan.of("encoder")
    if encoder.gpus:
        found["encoder"] |= {
            "workload": "RayService",
            "autoscaling": {"kind": "none"},
            "ray": {
                "replicas": _least(encoder, workload),
                "maxReplicas": HEADROOM * encoder.most,
                "gpusPerReplica": encoder.gpus,
                "autoscaler": True,
            },
            "settings": {"ENCODER_DEVICE": "cuda"},
        }
    else:
        found["encoder"]["settings"] = {"ENCODER_THREADS": ENCODER_CORES}
    found[_OTHER] = found["encoder"]
    return found


def _scaling(plan: Plan, pods: Pods, workload: Workload) -> Values:
    most = HEADROOM * pods.most
    if not pods.members:
        return {"kind": "cpu", "minReplicas": _least(pods, workload), "maxReplicas": most}
    low, high = LAG_SECONDS
    return {
        "kind": "lag",
        "minReplicas": _least(pods, workload),
        "maxReplicas": min(most, plan.partitions // pods.members),
        "lagSeconds": int(min(high, max(low, workload.freshness_seconds / 4))),
    }


def _least(pods: Pods, workload: Workload) -> int:
    """What must run before anything comes: all that the peak needs where freshness is sooner than autoscaling reacts."""
    if workload.freshness_seconds < REACTION_SECONDS and pods.service != "gateway":
        return pods.most
    if pods.members and workload.freshness_seconds >= 5 * REACTION_SECONDS:
        return 0
    return pods.usual


def _resources(pods: Pods) -> Values:
    memory = f"{round(pods.memory_gib * 1024)}Mi"
    asked: Values = {"cpu": f"{pods.cores:g}", "memory": memory}
    limits: Values = {"memory": f"{round(pods.memory_gib * 1024 * (1 if pods.gpus else 2))}Mi"}
    if pods.gpus:
        asked["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = pods.gpus
    return {"requests": asked, "limits": limits}


def text(found: Values) -> str:
    """The values as YAML, below what they need."""
    lines = [
        "# Of a plan: helm install … -f values-production.yaml -f this file. On another profile set what these values need:"
    ]
    lines += [f"# - {need}" for need in _needs(found)]
    return "".join(f"{line}\n" for line in (*lines, *_lines(found, "")))


def _needs(found: Values) -> Iterator[str]:
    """What values-small.yaml lacks for them."""
    yield "global.prometheus.url, a Prometheus that scrapes Spanstream, and KEDA, which asks it: workers are scaled on lag"
    if "ray" in found["encoder"]:
        yield "KubeRay, and nodes with GPUs: -f values-gpu.yaml before this file"
    if found["global"]["kafka"]["partitions"] > PARTITIONS:
        yield "strimzi.topics, or topics of so many partitions made by hand and topics.job false: the job makes fewer"


def _lines(found: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in found.items():
        if name == _OTHER:
            yield f"{name}: *encoder"
        elif isinstance(value, Mapping):
            yield f"{indent}{name}: &{name}" if name == "encoder" else f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(value)}"
