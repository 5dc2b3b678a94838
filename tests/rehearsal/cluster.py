"""The rendered manifests, run: hooks in order, Deployments kept at their replicas and rolled, Jobs until they end, budgets held at a drain.

What an upgrade no longer renders is removed, as Helm does: pods end as after any deletion, and nobody is sent to a Service that is gone.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from tests.rehearsal.addresses import Network
from tests.rehearsal.balancing import Balancer, Service
from tests.rehearsal.kubelet import Machine, Pod, execute, run_to_end, start
from tests.rehearsal.manifests import Container, Resource, Template, hooks, jobs, of_kind, replicas, selects

SECONDS = 1800.0  # for anything that is waited for: a busy machine is slow
LATE_SECONDS = 2.0  # in which a proxy learns that a pod is being deleted: preStop must outlast it
_TICK_SECONDS = 0.05


class Failed(Exception):
    """What was rehearsed did not come about; the message says what the pods say."""


class Deployment:
    """Its pods, and how they are replaced."""

    def __init__(self, name: str, make: Callable[[str, Template], Pod]) -> None:
        self.name, self._make = name, make
        self.pods: list[Pod] = []
        self.ended: list[Pod] = []
        self._numbers = count(1)

    def apply(self, manifest: Resource, wanted: int) -> None:
        """This is what is wanted from now on."""
        rolling = manifest["spec"]["strategy"]["rollingUpdate"]
        self.surge, self.unavailable = rolling["maxSurge"], rolling["maxUnavailable"]
        self.template, self.wanted = Template(manifest["spec"]["template"]), wanted

    def remove(self) -> None:
        """Nothing is wanted any more: delete all at once."""
        self.wanted = 0
        for pod in self.pods:
            pod.delete()

    @property
    def kept(self) -> list[Pod]:
        """Pods that are not being deleted."""
        return [pod for pod in self.pods if pod.deleted_at is None]

    @property
    def done(self) -> bool:
        """Whether as many pods as wanted are ready, all of this version, and none of another is left."""
        current = all(pod.template.identity == self.template.identity and pod.ready for pod in self.pods)
        return current and len(self.pods) == self.wanted

    def reconcile(self) -> None:
        """One step nearer: 1 count out what is gone, 2 make a pod where there is room, 3 delete one of another version."""
        self.ended += [pod for pod in self.pods if pod.gone]
        self.pods = [pod for pod in self.pods if not pod.gone]  # 1
        kept = self.kept
        old = [pod for pod in kept if pod.template.identity != self.template.identity]
        if len(kept) - len(old) < self.wanted and len(kept) < self.wanted + (self.surge if old else 0):
            self.pods.append(self._make(f"{self.name}-{next(self._numbers)}", self.template))  # 2
            return
        old.sort(key=lambda pod: pod.ready)
        spare = sum(pod.ready for pod in kept) - (self.wanted - self.unavailable)
        if old and (not old[0].ready or spare > 0):
            old[0].delete()  # 3


class Job:
    """Its one pod, whose container is started again until it ends with 0, or has failed as often as it may."""

    def __init__(self, name: str, manifest: Resource, make: Callable[[str, Template, int], Pod]) -> None:
        self.template = Template(manifest["spec"]["template"])
        self.pod = make(name, self.template, manifest["spec"]["backoffLimit"])

    @property
    def succeeded(self) -> bool:
        """It has ended with 0."""
        return self.pod.over and self.pod.code == 0

    @property
    def failed(self) -> bool:
        """It has ended, and not with 0."""
        return self.pod.over and self.pod.code != 0


class Cluster:
    """A namespace with one release in it."""

    def __init__(
        self,
        folder: Path,
        secrets: Mapping[str, Mapping[str, str]],
        neighbours: Mapping[str, str],
        pace: float,
        late: float = LATE_SECONDS,
        patience: float = 1.0,
    ) -> None:
        """`neighbours`: addresses by what the manifests call them, host:port. `pace`, `patience`: see kubelet."""
        self.secrets = dict(secrets)
        self.deployments: dict[str, Deployment] = {}
        self.jobs: dict[str, Job] = {}
        self._removed: dict[str, Deployment] = {}
        self._removed_jobs: list[Job] = []
        self.hosts: dict[str, str] = dict(neighbours)
        self._services: set[str] = set()
        self._config_maps: dict[str, Mapping[str, str]] = {}
        self._budgets: list[Resource] = []
        self._machine = Machine(folder, self.hosts, self._look_up, pace, patience)
        self._network, self._balancer = Network(), Balancer()
        self._late = late * pace
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._control, name="controller", daemon=True)
        self._thread.start()

    # --- What helm does ---

    def install(self, resources: Sequence[Resource]) -> None:
        """Hooks, then everything; returns without waiting for any pod."""
        self._run_hooks(resources, "pre-install")
        self._apply(resources)

    def upgrade(self, resources: Sequence[Resource]) -> None:
        """As install, of a release that is there."""
        self._run_hooks(resources, "pre-upgrade")
        self._apply(resources)

    def test(self, resources: Sequence[Resource]) -> str:
        """`helm test`: what the pod said. Raises Failed."""
        return self._run_hooks(resources, "test")

    def _run_hooks(self, resources: Sequence[Resource], phase: str) -> str:
        said = ""
        for one in hooks(resources, phase):
            match one["kind"]:
                case "ConfigMap":
                    self._config_maps[one["metadata"]["name"]] = one["data"]
                case "Job":
                    attempts = one["spec"]["backoffLimit"] + 1
                    said += self._to_end(one["metadata"]["name"], one["spec"]["template"], one["spec"], attempts)
                case "Pod":
                    said += self._to_end(one["metadata"]["name"], one, one["spec"], 1)
        return said

    def _to_end(self, name: str, template: Resource, limits: Resource, attempts: int) -> str:
        code, said = 1, ""
        for _ in range(attempts):
            code, said = run_to_end(
                name, Template(template), self._network.take(), self._machine, limits["activeDeadlineSeconds"]
            )
            if code == 0:
                return said
        raise Failed(f"{name} ended with {code}:\n{said}")

    def _apply(self, resources: Sequence[Resource]) -> None:
        """As Helm does it: 1 make and change what is rendered, 2 remove what is rendered no more."""
        found, services = of_kind(resources, "Deployment"), of_kind(resources, "Service")
        with self._lock:
            self._config_maps = {name: one["data"] for name, one in of_kind(resources, "ConfigMap").items()}
            self._budgets = list(of_kind(resources, "PodDisruptionBudget").values())
            for name, one in services.items():  # 1
                if name not in self.hosts:
                    self._serve(name, one["spec"])
            for name, one in found.items():
                if name not in self.deployments:
                    self.deployments[name] = self._removed.pop(name, None) or Deployment(name, self._make)
                self.deployments[name].apply(one, replicas(name, resources))
            wanted = jobs(resources)
            for name, one in wanted.items():
                known = self.jobs.get(name)
                if known is None:
                    self.jobs[name] = Job(name, one, self._make)
                elif known.template.identity != Template(one["spec"]["template"]).identity:
                    raise Failed(f'Job "{name}" is invalid: spec.template: field is immutable')
            for name in self._services - set(services):  # 2
                self._services.remove(name)
                del self.hosts[name]
            for name in set(self.deployments) - set(found):
                self._removed[name] = self.deployments.pop(name)
                self._removed[name].remove()
            for name in set(self.jobs) - set(wanted):
                self._removed_jobs.append(self.jobs.pop(name))
                self._removed_jobs[-1].pod.delete()

    def _serve(self, name: str, spec: Resource) -> None:
        address = self._network.take()

        def pods() -> list[Pod]:
            if self.hosts.get(name) != address:
                return []  # it was removed
            known = [*self.pods(), *self.ended()]
            return [pod for pod in known if selects(spec["selector"], pod.template.labels) and pod.routed(self._late)]

        self.hosts[name] = address
        self._services.add(name)
        ports = {port["port"]: port["targetPort"] for port in spec["ports"]}
        self._balancer.serve(Service(address, ports, pods))

    # --- What its controllers do ---

    def _control(self) -> None:
        while not self._closing.wait(_TICK_SECONDS):
            with self._lock:
                for deployment in self._all():
                    deployment.reconcile()

    def _make(self, name: str, template: Template, restarts_at_most: int | None = None) -> Pod:
        return Pod(name, template, self._network.take(), self._machine, restarts_at_most)

    def _all(self) -> list[Deployment]:
        """Those that were removed too."""
        return [*self.deployments.values(), *self._removed.values()]

    def _look_up(self, template: Template, pod: str) -> Container:
        return template.container(pod, self._config_maps, self.secrets)

    def pods(self) -> list[Pod]:
        """All, those that end among them, and those of Jobs."""
        of_jobs = [*self.jobs.values(), *self._removed_jobs]
        found = [pod for deployment in self._all() for pod in list(deployment.pods)]
        return found + [job.pod for job in of_jobs if not job.pod.gone]

    def ended(self) -> list[Pod]:
        """Those that were deleted and are gone."""
        found = [pod for deployment in self._all() for pod in list(deployment.ended)]
        return found + [job.pod for job in list(self._removed_jobs) if job.pod.gone]

    def run(self, name: str, template: Template, resources: Sequence[Resource]) -> tuple[str, subprocess.Popen[bytes]]:
        """A pod that another operator keeps: its address, and its process, which the caller ends."""
        address = self._network.take()
        self._config_maps |= {one: each["data"] for one, each in of_kind(resources, "ConfigMap").items()}
        return address, start(name, self._look_up(template, name), address, self._machine)

    # --- What an administrator does ---

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Raises Failed after `SECONDS`."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"{what} took more than {SECONDS:.0f} s\n{self.told()}")
            time.sleep(_TICK_SECONDS)

    def wait_available(self) -> None:
        """Until every Deployment is as it is wanted, and nothing is left of those that were removed."""
        self.wait(lambda: all(one.done for one in self._all()), "the rollout")

    def execute(self, pod: Pod, *words: str) -> subprocess.CompletedProcess[str]:
        """`kubectl exec` in a pod."""
        return execute(pod, words, self._machine)

    def told(self) -> str:
        """How its pods are, and the end of the logs of those that are not ready."""
        return "\n".join(
            f"{pod.name}: ready {pod.ready}, {pod.restarts} restarts, {pod.waiting}\n{'' if pod.ready else pod.log}"
            for pod in self.pods()
        )

    def evict(self, pod: Pod) -> bool:
        """As a drain does; False where a budget refuses it for now."""
        with self._lock:
            for budget in self._budgets:
                selector = budget["spec"]["selector"]["matchLabels"]
                if not selects(selector, pod.template.labels):
                    continue
                chosen = [one for one in self.deployments.values() if selects(selector, one.template.labels)]
                healthy = sum(each.ready for one in chosen for each in one.kept)
                wanted = sum(one.wanted for one in chosen)
                if pod.ready and healthy - 1 < wanted - budget["spec"]["maxUnavailable"]:
                    return False
            pod.delete()
            return True

    def close(self) -> None:
        """Delete everything, and wait for it; idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()
        left = self.pods()
        for pod in left:
            pod.delete()
        for pod in left:
            pod.join(SECONDS)
        self._balancer.close()
