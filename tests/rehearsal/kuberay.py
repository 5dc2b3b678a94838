"""A RayService as processes: what the KubeRay operator makes of it, on a real Ray.

As KubeRay does (ray-operator/controllers/ray/common/pod.go): a pod runs `ray start` with the parameters of its group and
what its resources say, is told where the head is and the cluster's token, and the Serve configuration is put to the head's dashboard.
Otherwise than there:

1 Ray opens some of its own ports on every address, or on 127.0.0.1: they are free ones, not the manifest's.
2 Serve has one address for the proxies of all nodes: it is the Service's, whose connections the system shares out among them, the
  head's too. There probes of a worker's proxy ask.
3 What KubeRay makes Ray wait for its own store (5 s) is as much longer as `patience` says.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.fixtures.product import free_port
from tests.rehearsal import rewriting
from tests.rehearsal.addresses import Network
from tests.rehearsal.kubelet import Machine, Pod
from tests.rehearsal.manifests import PROBES, Claim, Resource, Template, of_kind

_PORTS = {  # the parameter of `ray start` for each named port of a pod
    "gcs-server": "port",
    "dashboard": "dashboard-port",
    "agent": "dashboard-agent-listen-port",
    "metrics": "metrics-export-port",
    "client": "ray-client-server-port",
}
_TOKEN = {"name": "ray", "key": "auth_token"}
_STORE_SECONDS = 5.0
_SECONDS = 60.0  # for an answer of the dashboard
_END_SECONDS = 600.0  # a pod has its grace period
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class RayCluster:
    """The pods of the RayService among `resources`. `url`: where its Service is."""

    def __init__(self, resources: Sequence[Resource], claims: Mapping[str, Path], pace: float, patience: float) -> None:
        """Starts the head. `claims`: what lies in volumes, by claim."""
        (service,) = of_kind(resources, "RayService").values()
        self._spec = service["spec"]
        self._cluster = self._spec["rayClusterConfig"]
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))  # its path must be short: sockets are below
        for name, content in claims.items():
            shutil.copytree(content, self._folder / "claims" / name)
        self._token = secrets.token_hex(32)
        self._config_maps = {name: one["data"] for name, one in of_kind(resources, "ConfigMap").items()}
        self._machine = Machine(self._folder, {}, lambda it, pod: it.container(pod, *self._given), pace, patience)
        self._network, self._patience = Network(), patience
        self._address = self._network.take()
        self.workers: list[Pod] = []
        self._started = 0
        self._gcs = ""
        self.head = self._start("head", self._cluster["headGroupSpec"])
        (port,) = [one["port"] for one in self._spec["serveService"]["spec"]["ports"]]
        self.url = f"http://{self._address}:{port}"
        self.dashboard = f"http://{self.head.address}:{self.head.template.port('dashboard')}"

    def add_worker(self) -> Pod:
        """Another pod of the one group of workers."""
        (group,) = self._cluster["workerGroupSpecs"]
        self._started += 1
        pod = self._start(f"worker-{self._started}", group)
        self.workers.append(pod)
        return pod

    def deploy(self) -> None:
        """Put the Serve configuration to the dashboard."""
        httpx.put(self._applications, json=self.config(), headers=self._headers, timeout=_SECONDS).raise_for_status()

    def config(self) -> dict[str, Any]:
        """`serveConfigV2`, with addresses and paths that are here."""
        found: dict[str, Any] = _rewritten(yaml.safe_load(self._spec["serveConfigV2"]), self._address, self._folders())
        return found

    def applications(self) -> Mapping[str, Any]:
        """What the dashboard says of each application."""
        answer = httpx.get(self._applications, headers=self._headers, timeout=_SECONDS)
        found: Mapping[str, Any] = answer.raise_for_status().json()["applications"]
        return found

    def running(self) -> set[str]:
        """The pods' addresses on which a replica runs, where all applications are as they should be."""
        applications = self.applications().values()
        if not applications or any(one["status"] != "RUNNING" for one in applications):
            return set()
        deployments = [each for one in applications for each in one["deployments"].values()]
        replicas = [replica for each in deployments for replica in each["replicas"]]
        return {replica["node_ip"] for replica in replicas if replica["state"] == "RUNNING"}

    def refused_without_token(self) -> int:
        """The status of a question without the token."""
        return httpx.get(self._applications, timeout=_SECONDS).status_code

    def remove(self, *pods: Pod) -> None:
        """Delete pods, and wait until nothing of them is left."""
        for pod in pods:
            pod.delete()
        for pod in pods:
            pod.join(_END_SECONDS)
            _end_processes(self._folder / pod.name)
        self.workers = [pod for pod in self.workers if pod not in pods]

    def close(self) -> None:
        """Remove all pods, the head last."""
        self.remove(*self.workers)
        self.remove(self.head)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _applications(self) -> str:
        return f"{self.dashboard}/api/serve/applications/"

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    @property
    def _given(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return self._config_maps, {_TOKEN["name"]: {_TOKEN["key"]: self._token}}

    def _folders(self) -> dict[str, Path]:
        """Of claims, by the path that the pods mount them at."""
        mounts = self.head.template.container("head", *self._given).mounts
        return {path: self._folder / "claims" / one.name for path, one in mounts.items() if isinstance(one, Claim)}

    def _start(self, name: str, group: Resource) -> Pod:
        address = self._network.take()
        template = deepcopy(dict(group["template"]))
        (container,) = template["spec"]["containers"]
        ports = {}
        for one in container["ports"]:
            if one["name"] in _PORTS:
                one["containerPort"] = ports[one["name"]] = free_port()
        if "gcs-server" in ports:
            self._gcs = f"{address}:{ports['gcs-server']}"
        parameters = {_PORTS[port]: str(number) for port, number in ports.items()} | _from_resources(container)
        parameters |= {"node-ip-address": address, **group["rayStartParams"]}
        if name != "head":
            parameters["address"] = self._gcs
        words = [word for key, value in parameters.items() for word in (f"--{key}", value)]
        first = ["--head"] if name == "head" else []
        for kind in PROBES:
            if container[kind]["httpGet"]["port"] == "serve":
                container[kind]["httpGet"]["host"] = self._address
        container["command"] = ["python", "-m", "ray.scripts.scripts", "start", *first, *words, "--block"]
        wait = str(math.ceil(_STORE_SECONDS * self._patience))
        container["env"] += [
            {"name": "RAY_ADDRESS", "value": self._gcs},
            {"name": "RAY_timeout_ms_task_wait_for_death_info", "value": "0"},
            {"name": "RAY_gcs_server_request_timeout_seconds", "value": wait},
            {"name": "RAY_SERVE_KV_TIMEOUT_S", "value": wait},
            {"name": "RAY_AUTH_MODE", "value": self._cluster["authOptions"]["mode"]},
            {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": _TOKEN}},
        ]
        return Pod(name, Template(template), address, self._machine)


def _end_processes(folder: Path) -> None:
    """A container ends with all that was started in it; here Ray's own processes may outlive the one that started them."""
    mark = f"TMPDIR={folder}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another's, or gone
            if mark in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def _from_resources(container: Resource) -> dict[str, str]:
    """Cores and memory of a pod, as Ray is told them; what the group's own parameters say comes before."""
    cores = str(container["resources"]["requests"]["cpu"])
    number = math.ceil(float(cores.removesuffix("m")) / (1000 if cores.endswith("m") else 1))
    memory = container["resources"]["limits"]["memory"]
    return {"num-cpus": str(number), "memory": str(int(memory[:-2]) * _UNITS[memory[-2:]])}


def _rewritten(value: Any, address: str, folders: Mapping[str, Path]) -> Any:
    match value:
        case str():
            return rewriting.value(value, address, {}, folders)
        case list():
            return [_rewritten(each, address, folders) for each in value]
        case dict():
            return {name: _rewritten(each, address, folders) for name, each in value.items()}
    return value
