"""What rendered manifests ask for, as plain values. A field that the rehearsal would not honour is refused, never overlooked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]

# Fields of a container that are rehearsed, and those that say nothing of what a process does.
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_REHEARSED = {"command", "env", "envFrom", "ports", "lifecycle", "volumeMounts", *PROBES}
_ASIDE = {"name", "image", "imagePullPolicy", "resources", "securityContext"}
# The same of a pod.
_POD_REHEARSED = {"containers", "volumes", "terminationGracePeriodSeconds", "restartPolicy", "activeDeadlineSeconds"}
_POD_ASIDE = {
    *(
        "automountServiceAccountToken",
        "enableServiceLinks",
        "imagePullSecrets",
        "securityContext",
        "serviceAccountName",
    ),
    *("affinity", "nodeSelector", "priorityClassName", "tolerations", "topologySpreadConstraints"),
}
_PROBE = {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"}
_NAME = {"fieldRef": {"fieldPath": "metadata.name"}}  # of what a pod may be told of itself


class NotRehearsed(Exception):
    """A manifest asks for something that the rehearsal does not know."""


class NotThere(Exception):
    """A ConfigMap, a Secret or a key of one, without which the kubelet starts no container."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An HTTP probe: asked every `period` seconds, `failures` times in a row before it counts."""

    path: str
    port: int
    period: float
    timeout: float
    failures: int
    host: str = ""  # empty: the pod itself


@dataclass(frozen=True, slots=True)
class Files:
    """A mounted ConfigMap or Secret: contents by file name."""

    contents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A mounted volume that outlives the pod; all pods that name it see the same."""

    name: str


@dataclass(frozen=True, slots=True)
class Empty:
    """A folder of the pod's own."""


@dataclass(frozen=True, slots=True)
class Container:
    """What runs, with everything that it refers to looked up."""

    command: Sequence[str]
    environment: Mapping[str, str]
    mounts: Mapping[str, Files | Claim | Empty]  # by path


class Template:
    """A pod's template: `metadata` and `spec` of one container."""

    def __init__(self, template: Resource) -> None:
        """Raises NotRehearsed."""
        self.labels: Mapping[str, str] = template["metadata"].get("labels", {})
        self.spec = template["spec"]
        (self._container,) = self.spec["containers"]
        unknown = set(self.spec) - _POD_REHEARSED - _POD_ASIDE | set(self._container) - _REHEARSED - _ASIDE
        for kind in PROBES:
            unknown |= set(self._container.get(kind, ())) - _PROBE
        unknown |= {each["name"] for each in self._container.get("env", []) if not _known(each.get("valueFrom"))}
        if unknown:
            raise NotRehearsed(f"{self.component}: {sorted(unknown)}")
        self.identity = repr(template)  # another one is another version

    @property
    def component(self) -> str:
        """Which of ours it is."""
        return self.labels.get("app.kubernetes.io/component", "?")

    def container(
        self, pod: str, config_maps: Mapping[str, Mapping[str, str]], secrets: Mapping[str, Mapping[str, str]]
    ) -> Container:
        """That of the pod of this name, with variables and files from these, by name. Raises NotThere."""
        own = self._container
        environment: dict[str, str] = {}
        for source in own.get("envFrom", []):
            environment |= _found(config_maps, "ConfigMap", source["configMapRef"]["name"])
        for variable in own.get("env", []):
            environment[variable["name"]] = _value(variable, pod, secrets)
        volumes = {each["name"]: each for each in self.spec.get("volumes", [])}
        mounts = {
            each["mountPath"]: _mount(volumes[each["name"]], config_maps, secrets)
            for each in own.get("volumeMounts", [])
        }
        return Container(tuple(own["command"]), environment, mounts)

    def probe(self, kind: str) -> Probe | None:
        """`kind`: startupProbe, livenessProbe or readinessProbe."""
        found = self._container.get(kind)
        if found is None:
            return None
        get = found["httpGet"]
        return Probe(
            get["path"],
            self.port(get["port"]),
            found.get("periodSeconds", 10),
            found.get("timeoutSeconds", 1),
            found.get("failureThreshold", 3),
            get.get("host", ""),
        )

    def port(self, name: str | int) -> int:
        """The number of a container's port."""
        named = {each["name"]: each["containerPort"] for each in self._container.get("ports", [])}
        return named[name] if isinstance(name, str) else name

    @property
    def pre_stop_seconds(self) -> float:
        """What it waits before it is asked to stop."""
        hook = self._container.get("lifecycle", {}).get("preStop")
        return float(hook["sleep"]["seconds"]) if hook else 0.0

    @property
    def grace_seconds(self) -> float:
        """From the deletion to SIGKILL, `pre_stop_seconds` among them."""
        return float(self.spec.get("terminationGracePeriodSeconds", 30))


def hooks(resources: Sequence[Resource], phase: str) -> list[Resource]:
    """Helm's hooks of a phase (pre-install, pre-upgrade, test), in order."""

    found = [one for one in resources if phase in _annotations(one).get("helm.sh/hook", "").split(",")]
    return sorted(found, key=lambda one: int(_annotations(one).get("helm.sh/hook-weight", "0")))


def jobs(resources: Sequence[Resource]) -> dict[str, Resource]:
    """Those that are part of the release, and no hooks of Helm's, by name. Raises NotRehearsed."""
    found = {name: one for name, one in of_kind(resources, "Job").items() if "helm.sh/hook" not in _annotations(one)}
    for name, one in found.items():
        unknown = set(one["spec"]) - {"backoffLimit", "template"}
        if unknown or one["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
            raise NotRehearsed(f"{name}: {sorted(unknown) or 'a restartPolicy other than OnFailure'}")
    return found


def _annotations(one: Resource) -> Mapping[str, str]:
    return one["metadata"].get("annotations") or {}


def of_kind(resources: Sequence[Resource], kind: str) -> dict[str, Resource]:
    """By name."""
    return {one["metadata"]["name"]: one for one in resources if one["kind"] == kind}


def replicas(name: str, resources: Sequence[Resource]) -> int:
    """Of a Deployment: what it says, or what its autoscaler begins with; two at least, so that one is left to go on."""
    said = of_kind(resources, "Deployment")[name]["spec"].get("replicas")
    if said is not None:
        return int(said)
    scalers = [
        *_scalers(resources, "HorizontalPodAutoscaler", "minReplicas"),
        *_scalers(resources, "ScaledObject", "minReplicaCount"),
    ]
    return max(2, *(least for target, least in scalers if target == name))


def _scalers(resources: Sequence[Resource], kind: str, least: str) -> Iterator[tuple[str, int]]:
    for one in of_kind(resources, kind).values():
        yield one["spec"]["scaleTargetRef"]["name"], int(one["spec"].get(least, 1))


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a Service, a Deployment or a budget means a pod with these labels."""
    return selector.items() <= labels.items()


def _found(named: Mapping[str, Mapping[str, str]], kind: str, name: str) -> Mapping[str, str]:
    if name not in named:
        raise NotThere(f'{kind} "{name}" not found')
    return named[name]


def _key(named: Mapping[str, Mapping[str, str]], kind: str, name: str, key: str) -> str:
    data = _found(named, kind, name)
    if key not in data:
        raise NotThere(f'{kind} "{name}" has no key "{key}"')
    return data[key]


def _known(source: Resource | None) -> bool:
    return source is None or source == _NAME or set(source) == {"secretKeyRef"}


def _value(variable: Resource, pod: str, secrets: Mapping[str, Mapping[str, str]]) -> str:
    if "valueFrom" not in variable:
        return str(variable["value"])
    if variable["valueFrom"] == _NAME:
        return pod
    reference = variable["valueFrom"]["secretKeyRef"]
    return _key(secrets, "Secret", reference["name"], reference["key"])


def _mount(
    volume: Resource, config_maps: Mapping[str, Mapping[str, str]], secrets: Mapping[str, Mapping[str, str]]
) -> Files | Claim | Empty:
    (kind,) = set(volume) - {"name"}
    source = volume[kind]
    match kind:
        case "emptyDir":
            return Empty()
        case "persistentVolumeClaim":
            return Claim(source["claimName"])
        case "configMap":
            return Files(_found(config_maps, "ConfigMap", source["name"]))
        case "secret":
            name = source["secretName"]
            return Files({item["path"]: _key(secrets, "Secret", name, item["key"]) for item in source["items"]})
    raise NotRehearsed(f"a volume of {kind}")
