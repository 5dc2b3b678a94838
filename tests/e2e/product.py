"""The product as its users run it: `spanstream up` in a folder of its own, spoken to through the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from spanstream.client import Client, config

COMMAND = [sys.executable, "-m", "spanstream.client"]
READY_SECONDS = 90  # on a busy machine; a quiet one needs less than 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """This process's, without what would lead elsewhere than to the product in `folder`."""
    ours = {"SPANSTREAM_DATA": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
    return {name: value for name, value in os.environ.items() if not name.startswith("SPANSTREAM_")} | ours


def command(
    folder: Path, *arguments: str, input: bytes = b"", timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run `spanstream …` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], input=input, capture_output=True, env=environment(folder), timeout=timeout, check=False
    )


@dataclass
class Product:
    """A running product; leave the block to stop it."""

    folder: Path
    port: int
    admin: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *arguments: str, ports: tuple[int, int] | None = None) -> Self:
        """Start it, on free ports or on these (API, admin); returns at once."""
        folder.mkdir(parents=True, exist_ok=True)
        port, admin = ports or (free_port(), free_port())
        options = ["--port", str(port), "--admin-port", str(admin), *arguments]
        with open(folder / "terminal.txt", "wb") as terminal:
            process = subprocess.Popen(
                [*COMMAND, "up", *options],
                stdout=terminal,
                stderr=terminal,
                env=environment(folder),
                start_new_session=True,
            )
        return cls(folder, port, admin, process)

    @property
    def terminal(self) -> str:
        """What a person saw."""
        return (self.folder / "terminal.txt").read_text()

    def wait_ready(self, seconds: float = READY_SECONDS) -> Self:
        """Wait until every part is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.admin}/readyz").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready; the terminal shows:\n{self.terminal}")

    def wait_for(self, words: str, seconds: float = READY_SECONDS) -> None:
        """Wait until the terminal shows these words."""
        deadline = time.monotonic() + seconds
        while words not in self.terminal:
            assert time.monotonic() < deadline, f"no {words!r} in the terminal:\n{self.terminal}"
            assert self.process.poll() is None, f"it ended:\n{self.terminal}"
            time.sleep(0.05)

    def run(self, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run `spanstream …` against it."""
        return command(self.folder, *arguments, input=input)

    def json(self, *arguments: str, input: bytes = b"", code: int = 0) -> Any:
        """The JSON that `spanstream … --json` prints, ending with `code`."""
        done = self.run(*arguments, "--json", input=input)
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)

    def state(self, source: str, id: str) -> str:
        """A document's state; "unknown" where the server knows nothing of it."""
        done = self.run("status", id, "--source", source, "--json")
        return str(json.loads(done.stdout)["state"]) if done.stdout else "unknown"

    def client(self) -> Client:
        """The Python client, with the saved key."""
        saved = config.read(self.folder)
        return Client(saved["url"], api_key=saved["api_key"])

    def stop(self, number: int = signal.SIGINT, seconds: float = 15) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
