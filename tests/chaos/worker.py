"""A service in a process of its own that can be killed, frozen and started again under the same name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.fixtures import freezing
from tests.fixtures.product import free_port

STOP_SECONDS = 60.0


class Worker:
    """`python -m module` with these variables; its lines go to a file in `folder`."""

    def __init__(self, name: str, module: str, folder: Path, **variables: str) -> None:
        self.name = name
        self.deaths = 0  # by itself
        self._module, self._folder = module, folder
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SPANSTREAM_")}
        self.environment = inherited | variables | {"LOG_MEMBER": name}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns at once."""
        assert not self.running
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._folder / f"{self.name}.log", "ab") as lines:
            environment = self.environment | {"ADMIN_PORT": str(free_port())}
            command = [sys.executable, "-m", self._module]
            self._process = subprocess.Popen(command, env=environment, stdout=lines, stderr=lines)

    def revive(self) -> None:
        """Start it again if it has ended by itself, as whoever runs it would."""
        if self._process is not None and self._process.poll() is not None:
            self.deaths += 1
            print(f"{self.name} ended by itself:\n{self.said()}")
            self.start()

    def said(self) -> str:
        """The end of its lines."""
        return (self._folder / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """kill -9."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Nothing of it runs."""
        assert self._process is not None
        freezing.freeze(self._process.pid)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it cleanly, else by force."""
        if self._process is None or not self.running:
            return
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
