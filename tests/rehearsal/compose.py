"""A compose file as processes: what `docker compose up` and `down` do with it, on loopback, without Docker.

A service has an address of its own, so all ports are the file's. It gets the command of its image or its own, its variables and nothing
else; `tmpfs` and volumes are folders, binds and secrets are files. What is rewritten is told in `rewriting`; besides, 127.0.0.1 in a
healthcheck is the service's own address, and 10001 is the user who runs this.
A service whose program is not here is given from outside, and it is asked otherwise than by its healthcheck whether it is well.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rehearsal.addresses import Network
from tests.rehearsal.cluster import Failed
from tests.rehearsal.kubelet import Machine, start
from tests.rehearsal.manifests import Claim, Container, Empty, Files, NotRehearsed

_REHEARSED = {
    *("entrypoint", "command", "environment", "tmpfs", "volumes", "secrets", "ports"),
    *("depends_on", "healthcheck", "stop_grace_period", "restart"),
}
_ASIDE = {
    *("image", "build", "logging", "network_mode"),
    *("read_only", "cap_drop", "cap_add", "security_opt"),
}
_HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period", "disable"}
_STARTED, _HEALTHY, _COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
_SECRETS = "/run/secrets"
_TICK_SECONDS = 0.05
SECONDS = 1800.0  # for all of it to be up: a busy machine is slow


def seconds(text: str) -> float:
    """Of a duration with one unit, seconds or minutes."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1.0, "m": 60.0}[unit]


@dataclass
class Service:
    """One of the file's, and how it is. `command`: its image's, where the file has none. `outside`: whether what is given is well."""

    name: str
    asked: Mapping[str, Any]
    command: Sequence[str]
    outside: Callable[[], bool] | None
    address: str
    process: subprocess.Popen[bytes] | None = None
    healthy: bool = False
    failures: int = 0
    started_at: float = 0.0
    asked_at: float = 0.0
    log: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        check = self.asked.get("healthcheck", {})
        if unknown := set(self.asked) - _REHEARSED - _ASIDE | set(check) - _HEALTHCHECK:
            raise NotRehearsed(f"{self.name}: {sorted(unknown)}")

    @property
    def needs(self) -> Mapping[str, str]:
        """A condition by the service that has to meet it."""
        listed = self.asked.get("depends_on", {})
        if isinstance(listed, Mapping):
            return {name: one["condition"] for name, one in listed.items()}
        return dict.fromkeys(listed, _STARTED)

    @property
    def check(self) -> Mapping[str, Any] | None:
        """Its healthcheck."""
        found = self.asked.get("healthcheck")
        return None if found is None or found.get("disable") else found

    @property
    def ends(self) -> bool:
        """Whether it is one that does something and ends."""
        return self.asked.get("restart", "no") == "no"

    @property
    def grace_seconds(self) -> float:
        """From SIGTERM to SIGKILL."""
        return seconds(self.asked.get("stop_grace_period", "10s"))

    def meets(self, condition: str) -> bool:
        """Whether who waits for this may start."""
        match condition:
            case "service_started":
                return self.started_at > 0
            case "service_healthy":
                return self.healthy
            case "service_completed_successfully":
                return self.process is not None and self.process.poll() == 0
        raise NotRehearsed(f"{self.name}: {condition}")


class Project:
    """The services of a file. `pace` and `patience`: see kubelet."""

    def __init__(
        self,
        file: Path,
        compose: Mapping[str, Any],
        folder: Path,
        commands: Mapping[str, Sequence[str]],
        outside: Mapping[str, Callable[[], bool]],
        neighbours: Mapping[str, str],
        pace: float = 1.0,
        patience: float = 1.0,
    ) -> None:
        """`file`: where it is, `compose`: what it says; `commands`: of images, by service; `outside`: whether a service that is
        given is well; `neighbours`: where those are, by host:port.
        """
        self._beside, self._compose, self._folder = file.parent, compose, folder
        network = Network()
        self.services = {
            name: Service(name, asked, _words(asked) or commands.get(name, ()), outside.get(name), network.take())
            for name, asked in compose["services"].items()
        }
        self.hosts = {name: one.address for name, one in self.services.items()} | dict(neighbours)
        self._machine = Machine(folder, self.hosts, _refused, pace, patience)

    def up(self) -> None:
        """As `docker compose up --wait`: 1 start what may, 2 ask who is healthy, until all are up. Raises Failed."""
        deadline = time.monotonic() + SECONDS
        while not all(self._is_up(one) for one in self.services.values()):
            for one in self.services.values():
                if not one.started_at and all(self.services[name].meets(it) for name, it in one.needs.items()):
                    self._start(one)  # 1
                self._look(one)  # 2
            if time.monotonic() > deadline:
                raise Failed(f"not up within {SECONDS:.0f} s\n{self.told()}")
            time.sleep(_TICK_SECONDS)

    def down(self) -> dict[str, int]:
        """As `docker compose down`: who needs others ends before them. The exit codes, of what was killed -9."""
        left = {name: one for name, one in self.services.items() if one.process is not None}
        while left:
            needed = {name for one in left.values() for name in one.needs}
            for name in [name for name in left if name not in needed]:
                _stop(left.pop(name))
        return {name: one.process.returncode for name, one in self.services.items() if one.process is not None}

    def published(self, port: int) -> str:
        """host:port of the container behind a port of the machine's loopback."""
        for one in self.services.values():
            for mapping in one.asked.get("ports", []):
                address, outside, inside = mapping.split(":")
                if (address, outside) == ("127.0.0.1", str(port)):
                    return f"{one.address}:{inside}"
        raise LookupError(port)

    def told(self) -> str:
        """How all are, and the end of the logs of those that are not up."""
        return "\n".join(
            f"{one.name}: started {bool(one.started_at)}, healthy {one.healthy}\n{'' if self._is_up(one) else _end(one.log)}"
            for one in self.services.values()
        )

    # --- One service ---

    def _is_up(self, one: Service) -> bool:
        if one.ends:
            return one.meets(_COMPLETED)
        return one.meets(_HEALTHY if one.check else _STARTED)

    def _start(self, one: Service) -> None:
        one.started_at = time.monotonic()
        if one.outside is not None:
            return
        environment = {name: str(value) for name, value in one.asked.get("environment", {}).items()}
        container = Container(one.command, environment, self.mounts(one))
        one.process = start(one.name, container, one.address, self._machine)
        one.log = self._folder / one.name / "log"

    def mounts(self, one: Service) -> dict[str, Files | Claim | Empty]:
        """What it finds there, by path."""
        mounts: dict[str, Files | Claim | Empty] = {
            each.partition(":")[0]: Empty() for each in one.asked.get("tmpfs", [])
        }
        for volume in one.asked.get("volumes", []):
            source, path, *_ = volume.split(":")
            if source in self._compose["volumes"]:
                mounts[path] = Claim(source)
                continue
            found = self._beside / source
            if found.is_dir():
                mounts[path] = Files({each.name: each.read_text() for each in found.iterdir()})
            else:
                parent, _, name = path.rpartition("/")
                mounts[parent] = Files({name: self._rewritten(one, found.read_text())})
        if keys := one.asked.get("secrets"):
            files = {name: (self._beside / self._compose["secrets"][name]["file"]) for name in keys}
            mounts[_SECRETS] = Files({name: file.read_text() for name, file in files.items()})
        return mounts

    def _rewritten(self, one: Service, text: str) -> str:
        """A file's text, with addresses in place of names before a port, and folders in place of what is mounted."""
        paths = "|".join(re.escape(volume.split(":")[1]) for volume in one.asked["volumes"])
        text = re.sub(rf"(?<![\w./])(?:{paths})/", lambda found: f"{self._folder / one.name}{found[0]}", text)
        return re.sub(r"[\w-]+(?=:\d)", lambda found: self.hosts.get(found[0], found[0]), text)

    def _look(self, one: Service) -> None:
        """1 whether it has ended, 2 whether it is healthy. Raises Failed where it never will be."""
        code = one.process.poll() if one.process is not None else None
        if code is not None and (code or not one.ends):  # 1
            raise Failed(f"{one.name} ended with {code}\n{_end(one.log)}")
        check, now = one.check, time.monotonic()
        if check is None or one.healthy or not one.started_at:
            return
        if now < one.asked_at + seconds(check["interval"]) * self._machine.pace:
            return
        one.asked_at = now
        one.healthy = self._passes(one, check)  # 2
        if one.healthy or now < one.started_at + seconds(check.get("start_period", "0s")) * self._machine.patience:
            return
        one.failures += 1
        if one.failures >= check["retries"] / self._machine.pace * self._machine.patience:
            raise Failed(f"{one.name} is unhealthy\n{_end(one.log)}")

    def _passes(self, one: Service, check: Mapping[str, Any]) -> bool:
        if one.outside is not None:
            return one.outside()
        first, *words = check["test"]
        if first != "CMD":
            raise NotRehearsed(f"{one.name}: a healthcheck of {first}")
        asked = [sys.executable if word == "python" else word.replace("127.0.0.1", one.address) for word in words]
        try:
            limit = seconds(check["timeout"]) * self._machine.patience
            done = subprocess.run(
                asked, capture_output=True, timeout=limit, check=False, env={"PATH": os.environ["PATH"]}
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def _words(asked: Mapping[str, Any]) -> list[str] | None:
    own = [word.replace("10001:10001", f"{os.getuid()}:{os.getgid()}") for word in asked.get("command", [])]
    return [*asked["entrypoint"], *own] if "entrypoint" in asked else own or None


def _stop(one: Service) -> None:
    assert one.process is not None
    if one.process.poll() is None:
        one.process.send_signal(signal.SIGTERM)
    try:
        one.process.wait(one.grace_seconds)
    except subprocess.TimeoutExpired:
        one.process.kill()
        one.process.wait()


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:] if log.is_file() else ""


def _refused(*_: object) -> Container:
    raise NotRehearsed("a pod")
