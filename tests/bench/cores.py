"""Core seconds: what a process with all its threads computed, so that a busy machine says much the same as a quiet one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Cores:
    """A stopwatch of core seconds, for one thing after another."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def counting(self) -> Iterator[None]:
        begun = time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - begun

    def around(self, port: object) -> Any:
        """The port, its methods counted."""
        return _Counted(port, self)


class _Counted:
    def __init__(self, port: object, cores: Cores) -> None:
        self._port, self._cores = port, cores

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with self._cores.counting():
                return method(*arguments, **named)

        return call


def memory() -> int:
    """Bytes of this process's memory beside mapped files; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def disk(folder: Path) -> int:
    """Bytes that the files of a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
