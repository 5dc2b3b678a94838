"""What the checks of rendered resources have in common: the pods among them, and what those are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.helm import PROFILES

# Another release of the encoder: 1 documents move to it, 2 all services ask it and the first one's index is removed, 3 it is alone. The next
# one goes the other way round.
RELEASE = ("otherEncoder.settings.ENCODER_MODEL=other",)
MOVING = (*RELEASE, "global.migration.to=otherEncoder")
MOVED = (*MOVING, "global.index.encoder=otherEncoder")
ALONE = (*RELEASE, "global.index.encoder=otherEncoder")
BACK = (*ALONE, "global.migration.to=encoder")

# One at a time, and all that go together at once, on top of a profile.
TOGGLES: dict[str, tuple[str, ...]] = {
    "open network": ("global.network.policies=false",),
    "monitored": ("global.monitoring.serviceMonitors=true", "monitoring.rules=true", "monitoring.dashboards=true"),
    "ingress": ("ingress.enabled=true", "ingress.host=search.example.com", "ingress.tlsSecret=tls"),
    "lag": (
        "global.prometheus.url=http://prometheus:9090",
        *(
            f"{name}.autoscaling.{key}"
            for name in ("ingestorWorker", "embedder", "indexer")
            for key in ("kind=lag", "minReplicas=0", "maxReplicas=3")
        ),
    ),
    "cpu": tuple(f"{name}.autoscaling.kind=cpu" for name in ("ingestorWorker", "embedder", "indexer", "encoder")),
    "ray": ("encoder.workload=RayService", "encoder.autoscaling.kind=none"),
    "blobs elsewhere": ("global.blobs.url=s3://bucket/blobs", "global.blobs.egress[0].ports[0].port=443"),
    "existing claim": ("global.blobs.existingClaim=mine",),
    "open store": ("global.store.apiKeySecret.name=",),
    "strimzi": ("strimzi.topics=true", "strimzi.cluster=events", "topics.job=false"),
    "images": ("global.image.registry=registry.example/team", "global.image.tag=v9", "global.image.pullSecrets={pull}"),
    "tls": ("global.kafka.caSecret.name=ca",),
    "login": (
        "global.kafka.caSecret.name=ca",
        "global.kafka.username=spanstream",
        "global.kafka.passwordSecret.name=kafka",
    ),
    "tokens": (
        "global.auth.jwksSecret.name=provider",
        *(
            f"{name}.settings.AUTH_JWT_{key}"
            for name in ("ingestorApi", "gateway")
            for key in ("ISSUER=https://id.example.com", "AUDIENCE=search")
        ),
    ),
    "openshift": ("global.pods.fixedUser=false", "global.network.dnsPort=5353"),
    "placed": (
        "global.pods.nodeSelector.kubernetes\\.io/arch=arm64",
        "global.pods.tolerations[0].key=dedicated",
        "global.pods.tolerations[0].operator=Exists",
        "global.pods.priorityClassName=search",
        "global.pods.labels.team=search",
        "global.pods.annotations.team=search",
    ),
    "traced": ("gateway.settings.TRACES_URL=https://collector.example.com/v1/traces",),
    "nobody from outside": ("global.network.clients=[]", "global.network.monitoring=[]"),
    "no test": ("smoke.tokenSecret.name=",),
    "model from a claim": (
        "encoder.volumes.models.mountPath=/models",
        "encoder.volumes.models.claim=models",
        "encoder.settings.ENCODER_MODEL=/models/mine",
    ),
}
RAY = tuple(
    f"{name}.{set}" for name in ("encoder", "otherEncoder") for set in ("workload=RayService", "autoscaling.kind=none")
)
TOGGLES |= {
    "moving": MOVING,
    "moved": MOVED,
    "alone": ALONE,
    "moving back": BACK,
    "moved back": (*RELEASE, "global.migration.to=encoder"),
    "moving on ray": (*MOVING, *RAY),
    "moving from ray": (*BACK, "otherEncoder.workload=RayService", "otherEncoder.autoscaling.kind=none"),
    "alone on ray": (*ALONE, *RAY),
}
TOGGLES["moving with a store of the company's"] = (
    *MOVING,
    "global.store.url=https://qdrant:6333",
    "global.store.caSecret.name=company",
)
TOGGLES["moving with all"] = tuple(
    one
    for name in ("moving", "monitored", "cpu", "blobs elsewhere", "strimzi", "images", "login", "placed", "openshift")
    for one in TOGGLES[name]
)
TOGGLES["moving and closed"] = (
    *MOVING,
    *TOGGLES["nobody from outside"],
    "indexer.settings.TRACES_URL=https://collector.example.com",
    "migration.settings.TRACES_URL=https://collector.example.com",
    "migration.settings.LOG_LEVEL=debug",
)
TOGGLES["together"] = tuple(
    one
    for name in ("monitored", "ingress", "lag", "ray", "existing claim", "strimzi", "images", "model from a claim")
    for one in TOGGLES[name]
)
CASES: list[tuple[str, ...]] = [(profile,) for profile in PROFILES] + [("small", *sets) for sets in TOGGLES.values()]
CASES += [(profile, *sets) for profile in ("production", "gpu") for sets in (MOVING, BACK)]
IDS = [
    *PROFILES,
    *TOGGLES,
    *(f"{profile} {sets}" for profile in ("production", "gpu") for sets in ("moving", "moving back")),
]
ENCODERS = ("encoder", "other-encoder")


@dataclass(frozen=True)
class Running:
    """A pod that would run."""

    name: str
    kind: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def container(self) -> dict[str, Any]:
        (found,) = self.spec["containers"]
        return dict(found)

    @property
    def module(self) -> str:
        """What it runs; Ray starts the encoder's deployment in its own processes."""
        if self.kind == "RayService":
            return "spanstream.embedder.deployment"
        command = self.container["command"]
        return str(command[2]) if command[:2] == ["python", "-m"] else ""


def pods(resources: list[dict[str, Any]]) -> Iterator[Running]:
    """Every pod among the resources, in whatever makes it."""
    for one in resources:
        kind, name = one["kind"], one["metadata"]["name"]
        if kind == "Pod":
            yield Running(name, kind, one["metadata"]["labels"], one["spec"])
        elif kind in ("Deployment", "Job"):
            template = one["spec"]["template"]
            yield Running(name, kind, template["metadata"]["labels"], template["spec"])
        elif kind == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            for role, group in [
                ("head", cluster["headGroupSpec"]),
                *(("worker", g) for g in cluster["workerGroupSpecs"]),
            ]:
                template = group["template"]
                labels = template["metadata"]["labels"] | {"ray.io/node-type": role}  # KubeRay's own
                yield Running(f"{name}-{role}", kind, labels, template["spec"])


def environment(pod: Running, resources: list[dict[str, Any]]) -> dict[str, str]:
    """A pod's variables as its process would see them; what is in a Secret is there, with some value."""
    maps = {one["metadata"]["name"]: one["data"] for one in resources if one["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    for variable in pod.container.get("env", []):
        found[variable["name"]] = variable.get("value", "secret")
    return found
