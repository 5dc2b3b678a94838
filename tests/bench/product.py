"""The product as its users run it: one `spanstream up` in a folder of its own, spoken to through the public client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from spanstream.client import Client


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Product:
    """A running product."""

    folder: Path
    url: str
    admin: str
    process: subprocess.Popen[bytes]
    ready_seconds: float

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to reach it."""
        return os.environ | {"SPANSTREAM_DATA": str(self.folder)}

    def client(self) -> Client:
        """A client with the key that `up` saved."""
        os.environ["SPANSTREAM_DATA"] = str(self.folder)
        return Client()

    def memory_bytes(self) -> dict[str, int]:
        """Memory of the process and all its children, the broker included.

        `rss` counts a page that two of them map twice; `pss` counts it once in all, as a share for each.
        """
        parent = psutil.Process(self.process.pid)
        sums = {"rss": 0, "pss": 0, "services_pss": 0, "broker_pss": 0}
        for process in [parent, *parent.children(recursive=True)]:
            used = process.memory_full_info()
            sums["rss"] += used.rss
            sums["pss"] += used.pss
            sums["broker_pss" if "java" in process.name() else "services_pss"] += used.pss
        return sums


@contextmanager
def running(folder: Path | None = None, *, dtype: str = "auto") -> Iterator[Product]:
    """Start it on free ports, wait until it is ready, stop it with SIGINT at the end. `dtype`: of its encoder."""
    with tempfile.TemporaryDirectory(prefix="spanstream-bench-") as temporary:
        data = folder or Path(temporary)
        port, admin = free_port(), free_port()
        command = [sys.executable, "-m", "spanstream.client", "up", "--no-samples", "--data", str(data)]
        command += ["--port", str(port), "--admin-port", str(admin)]
        begun = time.perf_counter()
        with (data / "bench.log").open("wb") as log:
            environment = os.environ | {"ENCODER_DTYPE": dtype}
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            import httpx

            url = f"http://127.0.0.1:{admin}"
            while True:
                if process.poll() is not None or time.perf_counter() - begun > 180:
                    raise RuntimeError((data / "bench.log").read_text())
                try:
                    if httpx.get(url + "/readyz").status_code == 200 and (data / "client.json").exists():
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
            yield Product(data, f"http://127.0.0.1:{port}", url, process, time.perf_counter() - begun)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
