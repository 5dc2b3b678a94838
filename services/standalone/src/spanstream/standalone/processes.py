"""A process for each service, as on a cluster but on this machine: what `up --processes` runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

import httpx

from spanstream.runtime import admin
from spanstream.runtime.http import check_free
from spanstream.runtime.service import Report, Service
from spanstream.runtime.settings import AdminSettings
from spanstream.standalone import child, log_file
from spanstream.standalone.composition import Composition, Plan, log_access, release_at
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.loading import Ahead
from spanstream.standalone.parts import Shared, Topics
from spanstream.standalone.ports import free_port
from spanstream.standalone.trouble import Trouble

# Consumers before producers, the entry points last.
ORDER = {
    "encoder": "spanstream.embedder.application",
    "indexer": "spanstream.indexer",
    "embedder": "spanstream.embedder",
    "ingestor": "spanstream.ingestor",
    "gateway": "spanstream.gateway",
}

PORTS = {"encoder": "ENCODER_PORT", "ingestor": "INGESTOR_HTTP_PORT", "gateway": "GATEWAY_HTTP_PORT"}


LAST_CHARACTERS = 500  # of a process's last line, to be shown


class ProcessDied(Exception):
    """A service's process ended by itself; the message says what it said last, and where the rest is."""


class Child:
    """A service in a process of its own. Its lines go to `write`, its health is asked at its admin port."""

    def __init__(
        self,
        name: str,
        module: str,
        environment: Mapping[str, str],
        admin_url: str,
        folder: DataFolder,
        write: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = ["/usr/bin/env", *(f"{key}={value}" for key, value in environment.items())]
        self._command += [sys.executable, "-m", module]
        self._admin_url = admin_url
        self._pid_file = folder.path / f"{name}.pid"
        self._log = folder.processes_log
        self._write = write
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def start(self, report: Report) -> None:
        """Start the process, and hand on its lines."""
        child.stop_survivor(self._pid_file, f"-m {self._command[-1]}", 5.0)
        ours, theirs = os.pipe()

        def watch(process: subprocess.Popen[bytes]) -> None:
            last = ""
            with open(ours, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    last = line.strip() or last
                    self._write(f"{self.name:9} {line.rstrip()}")
            code = process.wait()
            if not self._stopping.is_set():
                said = f"Its last words: {last[:LAST_CHARACTERS]}\n" if last else ""
                report(
                    ProcessDied(
                        f"The process of the {self.name} ended by itself (exit code {code}).\n{said}"
                        f"What it and the other processes said is in {self._log}."
                    )
                )

        try:
            with open(theirs, "wb") as output:
                self._process = child.watched(self._command, output, self._pid_file, watch, f"watch-{self.name}")
        except OSError as error:
            raise ProcessDied(f"The process of the {self.name} could not be started: {error}.") from error

    def live(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def unready(self) -> list[str]:
        """What it says itself."""
        try:
            answer = httpx.get(f"{self._admin_url}/readyz", timeout=1)
        except httpx.HTTPError:
            return ["its process does not answer"]
        return [] if self.live() and answer.is_success else answer.text.splitlines()[1:] or ["its process has ended"]

    def stop(self, deadline: float) -> None:
        """SIGTERM, and SIGKILL shortly before the deadline."""
        self._stopping.set()
        if self._process is not None:
            child.stop(self._process, self._pid_file, deadline)


def build(plan: Plan, folder: DataFolder, progress: Callable[[str], None]) -> Composition:
    """A child for every target, with the addresses of the others in its environment.

    Raises PortInUse, SettingsError, or Trouble: for an Edge store, for one.
    """
    if plan.store_url.startswith("edge:"):
        raise Trouble(
            "The index is in a folder, and its engine lets only one process open that.",
            "Name a Qdrant server with --store-url http://host:port, or leave --processes out.",
        )
    from spanstream.eventlog.opening import open_log
    from spanstream.standalone.broker import LocalBroker

    # First both ports, to find one in use before anything runs. The API's is left to the gateway's process.
    if "gateway" in plan.targets:
        check_free("api", plan.host, plan.port)
    admin_settings = AdminSettings.read(host=plan.host, port=plan.admin_port)
    services: list[Service] = []
    server = admin.build(admin_settings, services, [])
    log_url = plan.log_url
    if log_url is None:
        broker = LocalBroker(folder.kafka, progress=progress)
        log_url = broker.url
        services.append(Ahead(broker))
    log = open_log(log_url, log_access(plan))
    services += [Shared([log]), Topics(log, skip_lost=plan.skip_lost)]

    ports = {name: free_port() for name in ORDER}
    ports["gateway"] = plan.port or ports["gateway"]
    urls = {name: f"http://{plan.host}:{port}" for name, port in ports.items()}
    encoder_url = urls["encoder"] if "encoder" in plan.targets else plan.encoder_url
    shared = {
        "LOG_URL": log_url,
        "STORE_URL": plan.store_url,
        "ENCODER_URL": encoder_url,
        "ENCODER_CACHE_FOLDER": str(folder.windows),
        "BLOB_URL": f"file:{folder.blobs}",
        "AUTH_KEYS_FILE": str(folder.keys),
        "AUTH_AUDIT_FILE": os.environ.get("AUTH_AUDIT_FILE", str(folder.audit)),
        "INGESTOR_GATEWAY_URL": urls["gateway"],
        "INGESTOR_RECEIPT_KEY_FILE": str(folder.receipt_key),
        "INGEST_URL": urls["ingestor"],
    }
    if "ingestor" in plan.targets:
        folder.make_receipt_key()
    write = writer(folder)
    if plan.encoder_replicas:
        services.append(replicated(plan, folder, write))
    for name in ORDER:
        if name in plan.targets:
            admin_port = free_port()
            own = {"ADMIN_PORT": str(admin_port)}
            if name in PORTS:
                own[PORTS[name]] = str(ports[name])
            admin_url = f"http://{plan.host}:{admin_port}"
            services.append(Child(name, ORDER[name], shared | own, admin_url, folder, write))
    return Composition(
        [*services, server], urls["gateway"], urls["ingestor"], server.url, log_url, release_at(encoder_url)
    )


def replicated(plan: Plan, folder: DataFolder, write: Callable[[str], None]) -> Child:
    """The process that starts a Ray Serve of the plan's `encoder_replicas` at its `encoder_url`, and ends it."""
    admin_port = free_port()
    own = {
        "ENCODER_HOST": plan.host,
        "ENCODER_PORT": str(httpx.URL(plan.encoder_url).port),
        "ENCODER_REPLICAS": str(plan.encoder_replicas),
        "ENCODER_CACHE_FOLDER": str(folder.windows),
        "ADMIN_PORT": str(admin_port),
    }
    admin_url = f"http://{plan.host}:{admin_port}"
    return Child("encoder", "spanstream.embedder.deployment", own, admin_url, folder, write)


def writer(folder: DataFolder) -> Callable[[str], None]:
    """Writes lines as they are, to a file that is rotated."""
    lines = logging.getLogger("spanstream.processes")
    lines.propagate = False
    lines.handlers = [log_file.rotating(folder.processes_log)]
    lines.setLevel(logging.INFO)
    return lines.info
