"""The encoder service under measurement and its peers: started before, each in processes of its own, and stopped together."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.clients import Address, Asked, Client
from tests.conftest import ROOT
from tests.fixtures.product import free_port

START_SECONDS = 180.0
STOP_SECONDS = 60.0
CORES = os.cpu_count() or 1
PROBE = Asked(["It answers."], query=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A server to start: a module, `variables` of its environment. `optional`: it needs Ray, which may not start here."""

    name: str
    module: str
    path: str
    variables: Mapping[str, str] = field(default_factory=dict)
    ours: bool = True
    optional: bool = False

    def command(self, port: int) -> list[str]:
        """Ours listen where their settings say, a peer where its argument says."""
        return [sys.executable, "-m", self.module, *([] if self.ours else [str(port)])]

    def environment(self, port: int) -> dict[str, str]:
        """This process's, without settings of an encoder that someone left there."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENCODER_", "ADMIN_"))}
        return kept | {"ENCODER_PORT": str(port), "ADMIN_PORT": "0"} | self.variables


def one_process(name: str, **variables: str) -> Server:
    """Ours in one process."""
    return Server(name, "spanstream.embedder.application", "/v1/encode", variables)


def replicated(name: str, replicas: int) -> Server:
    """Ours on Ray Serve: replicas that share all cores."""
    shares = {"ENCODER_REPLICAS": str(replicas), "ENCODER_CPUS": str(CORES / replicas)}
    return Server(name, "spanstream.embedder.deployment", "/minilm/v1/encode", shares, optional=True)


PER_REQUEST = Server("(a) FastAPI, encode() per request", "tests.bench.peers.per_request", "/encode", ours=False)
COUNTED = Server("(b) serve.batch(32), encode()", "tests.bench.peers.counted", "/encode", ours=False, optional=True)


@contextmanager
def running(servers: Sequence[Server]) -> Iterator[dict[str, Address]]:
    """Addresses by name, of all that answer; one after the other is started, because ours measure the machine then.

    An optional one that does not start is left out; another one raises an AssertionError with the end of its log.
    """
    processes: list[subprocess.Popen[bytes]] = []
    addresses: dict[str, Address] = {}
    with tempfile.TemporaryDirectory(prefix="spanstream-serving-") as folder:
        try:
            for server in servers:
                port, log = free_port(), Path(folder) / f"{len(processes)}.log"
                with log.open("wb") as output:
                    process = subprocess.Popen(
                        server.command(port), env=server.environment(port), cwd=ROOT, stdout=output, stderr=output
                    )
                processes.append(process)
                address = Address(port, server.path, binary=server.ours)
                if _answers(process, address):
                    addresses[server.name] = address
                else:
                    process.terminate()
                    said = f"{server.name} does not answer:\n{log.read_text(errors='replace')[-3000:]}"
                    assert server.optional, said
                    print(said, file=sys.stderr)
            yield addresses
        finally:
            _stop(processes)


def _answers(process: subprocess.Popen[bytes], address: Address) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client = Client(address)
        except OSError:
            time.sleep(0.1)
            continue
        client.ask(0, PROBE)
        client.close()
        if client.answers.numbers:
            return True
        time.sleep(0.1)
    return False


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()  # Ray's processes end with it
            process.wait()
