"""A pod as a process: what the kubelet does with its container, probes, restarts and end.

`pace` shortens what the manifests make it wait (between two probes, before a stop, before a restart): 0.2 asks five times as
often. What a container may take is not shortened: probes that it may fail are as many more. `patience` lengthens that, where
many pods share the cores that a cluster gives each of them: how long a probe waits for its answer, and how long it may
fail before the container is killed for it.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.rehearsal import rewriting
from tests.rehearsal.manifests import PROBES, Claim, Container, Empty, Files, NotThere, Probe, Template

_RESTART_SECONDS = 10.0  # before the first restart, twice as long before each further one, as the kubelet waits
_TICK_SECONDS = 0.02


@dataclass(frozen=True)
class Machine:
    """What all pods share. `look_up`: a template's container, of a pod's name, with today's ConfigMaps and Secrets."""

    folder: Path
    hosts: Mapping[str, str]
    look_up: Callable[[Template, str], Container]
    pace: float
    patience: float = 1.0


def start(name: str, container: Container, address: str, machine: Machine) -> subprocess.Popen[bytes]:
    """Its process, with nothing in its environment but what it is given; what it writes goes to `log` in its folder."""
    command, environment, home = _here(name, container, address, machine)
    with (machine.folder / name / "log").open("ab") as log:
        return subprocess.Popen(command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def execute(
    pod: Pod, words: Sequence[str], machine: Machine, seconds: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """As `kubectl exec`: a command beside a pod's container, with its variables and its files. Raises TimeoutExpired."""
    container = replace(machine.look_up(pod.template, pod.name), command=tuple(words))
    command, environment, home = _here(pod.name, container, pod.address, machine)
    return subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=seconds, check=False
    )


def _here(name: str, container: Container, address: str, machine: Machine) -> tuple[list[str], dict[str, str], Path]:
    """A container's command, variables and working folder on this machine."""
    folder = machine.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    folders = {path: _mounted(path, mount, folder, machine.folder) for path, mount in container.mounts.items()}
    home = folders.get("/tmp", folder)
    told = address, machine.hosts, folders
    environment = {variable: rewriting.value(text, *told) for variable, text in container.environment.items()}
    image = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    return rewriting.command(container.command, sys.executable, *told), image | environment, home


def _mounted(path: str, mount: Files | Claim | Empty, folder: Path, shared: Path) -> Path:
    inside = shared / "claims" / mount.name if isinstance(mount, Claim) else folder / path.lstrip("/")
    inside.mkdir(parents=True, exist_ok=True)
    if isinstance(mount, Files):
        for name, content in mount.contents.items():
            (inside / name).write_text(content)
    return inside


def run_to_end(name: str, template: Template, address: str, machine: Machine, seconds: float) -> tuple[int, str]:
    """A pod of a Job: its exit code, and what it wrote. Raises NotThere, or TimeoutExpired after its deadline."""
    process = start(name, machine.look_up(template, name), address, machine)
    try:
        code = process.wait(seconds)
    finally:
        process.kill()
    return code, (machine.folder / name / "log").read_text(errors="replace")


class Pod:
    """One pod. Its container starts at once, in a thread that watches it until it has been deleted, or has ended for good.

    `restarts_at_most`: of one that may end (restartPolicy OnFailure); without it each end is followed by a restart.
    """

    def __init__(
        self, name: str, template: Template, address: str, machine: Machine, restarts_at_most: int | None = None
    ) -> None:
        self.name, self.template, self.address = name, template, address
        self.waiting = ""  # why no container runs
        self.restarts = 0
        self.deleted_at: float | None = None
        self.code: int | None = None  # of the last end
        self.killed = False  # it outlived its grace period
        self._machine = machine
        self._restarts_at_most = restarts_at_most
        self._folder = machine.folder / name
        self._ready = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """What its readiness probe last said."""
        return self._ready and self.deleted_at is None

    @property
    def over(self) -> bool:
        """No container of it runs, nor will: it was deleted, ended with 0, or as often as it may."""
        return not self._thread.is_alive()

    def routed(self, late: float) -> bool:
        """Whether it gets requests: it is ready, or was when it was deleted, which proxies learn `late` seconds after."""
        return self._ready and (self.deleted_at is None or time.monotonic() - self.deleted_at < late)

    @property
    def gone(self) -> bool:
        """It was deleted, and its process has ended."""
        return self.deleted_at is not None and not self._thread.is_alive()

    @property
    def log(self) -> str:
        """What its containers wrote, the last 4,000 characters."""
        path = self._folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def delete(self) -> None:
        """Begin its end: preStop, SIGTERM, and SIGKILL once the grace period is over."""
        if self.deleted_at is None:
            self.deleted_at = time.monotonic()
            self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until it is gone."""
        self._thread.join(seconds)

    def asked(self, kind: str) -> tuple[int, str]:
        """The status and the body of one of its probes now; (0, "") without an answer."""
        probe = self.template.probe(kind)
        return _ask(self.address, probe, self._machine.patience) if probe else (0, "")

    # --- Its life ---

    def _live(self) -> None:
        while not self._stop.is_set():
            try:
                container = self._machine.look_up(self.template, self.name)
            except NotThere as error:
                self.waiting = f"CreateContainerConfigError: {error}"
                self._stop.wait(_TICK_SECONDS)
                continue
            process = start(self.name, container, self.address, self._machine)
            self.waiting = ""
            self._watch(process)
            if not self._stop.is_set():
                self._ready = False
            self._end(process)
            if self._restarts_at_most is not None and (self.code == 0 or self.restarts >= self._restarts_at_most):
                return
            if not self._stop.is_set():
                self.waiting = f"CrashLoopBackOff: exit code {self.code}"
                self._stop.wait(_RESTART_SECONDS * 2 ** min(self.restarts, 5) * self._machine.pace)
                self.restarts += 1

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Probe it until it has ended, has to be restarted, or the pod is deleted."""
        started = self.template.probe("startupProbe") is None
        checks = {kind: _Check(self.template.probe(kind), self._machine) for kind in PROBES}
        while process.poll() is None and not self._stop.wait(_TICK_SECONDS):
            for kind, check in checks.items():
                if (kind == "startupProbe") == started or not check.due():
                    continue
                passed = check.ask(self.address)
                if kind == "readinessProbe":
                    self._ready = passed or (self._ready and not check.failed())
                elif passed:
                    started = True
                elif check.failed(self._machine.patience):
                    return

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """1 wait as preStop says, 2 SIGTERM, 3 SIGKILL after the grace period."""
        if process.poll() is None:
            threading.Event().wait(self.template.pre_stop_seconds * self._machine.pace)  # 1
            process.send_signal(signal.SIGTERM)  # 2
            left = self.template.grace_seconds - self.template.pre_stop_seconds
            try:
                process.wait(left)
            except subprocess.TimeoutExpired:
                self.killed = True
                process.kill()  # 3
        self.code = process.wait()


class _Check:
    """One probe of one container's life."""

    def __init__(self, probe: Probe | None, machine: Machine) -> None:
        self._probe, self._pace, self._patience = probe, machine.pace, machine.patience
        self._next = 0.0
        self._failures = 0

    def due(self) -> bool:
        return self._probe is not None and time.monotonic() >= self._next

    def ask(self, address: str) -> bool:
        assert self._probe is not None
        passed = 200 <= _ask(address, self._probe, self._patience)[0] < 400
        self._failures = 0 if passed else self._failures + 1
        self._next = time.monotonic() + self._probe.period * self._pace
        return passed

    def failed(self, patience: float = 1.0) -> bool:
        """Whether it failed as long as it may: as often as the manifest says, or as many times more as it is asked more often."""
        assert self._probe is not None
        return self._failures >= self._probe.failures / self._pace * patience


def _ask(address: str, probe: Probe, patience: float) -> tuple[int, str]:
    """Status and body; (0, "") without an answer. Not through httpx, whose clients take longer to make than this takes."""
    connection = http.client.HTTPConnection(probe.host or address, probe.port, timeout=probe.timeout * patience)
    try:
        connection.request("GET", probe.path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
