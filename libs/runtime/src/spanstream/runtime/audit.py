"""The audit log: one JSON line for each write, delete, refusal and act of an operator, each with the hash of the one before.

A line ends in `"previous":P,"hash":H}`, where H is the SHA-256 of the line's text up to `,"hash"`, and P is H of the line
before, or 64 zeros. So a line that is changed, taken out or put between shows; lines cut off at the end show to who has
noted a later hash. What was said in a document or a query is in none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from spanstream.runtime.logs import get_logger
from spanstream.runtime.problems import Problem
from spanstream.runtime.settings import SettingsError

FIRST = "0" * 64
MAX_FIELD = 512  # characters of one text in a line: ids have at most as many; of a stranger's path the rest is left out
_JSON = json.JSONEncoder(
    separators=(",", ":")
).encode  # in ASCII: nothing that an id holds ends a line or moves a cursor
_BLOCK = 1 << 16  # bytes read at a time when looking for the last line
_LINE = re.compile(r'(\{.*"previous":"([0-9a-f]{64})"),"hash":"([0-9a-f]{64})"\}')

log = get_logger()


class AuditUnavailable(Problem):
    """The line could not be written, so what it tells of is not answered as done."""

    def __init__(self) -> None:
        super().__init__(503, "the audit log cannot be written; send it again", retry_after=5)


class AuditLog:
    """Appends to a file that several processes may share, or to a stream, where each process has a chain of its own.

    A line is with the operating system once `append` returns: it outlives the process, not a loss of power.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        stream: TextIO | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Without `path` to `stream`, else standard error. Raises SettingsError if the file cannot be written."""
        self._path = path
        self._stream = stream
        self._now = now
        self._last = FIRST
        self._left: tuple[int, int] | None = None  # the file and its size after our last line
        self._lock = threading.Lock()
        if path is not None:
            try:
                os.close(_open(path))
            except OSError as error:
                raise SettingsError(f"AUTH_AUDIT_FILE: {path} cannot be written ({error.strerror})") from error

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        """A line each, in one write; raises AuditUnavailable where none was written."""
        if not events:
            return
        try:
            with self._lock:
                if self._path is None:
                    lines, self._last = self._chained(self._last, events)
                    print(lines, end="", file=self._stream or sys.stderr, flush=True)
                else:
                    self._append(self._path, events)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            log.error("audit_unavailable", exc_info=error)
            raise AuditUnavailable from error

    def _append(self, path: Path, events: Sequence[Mapping[str, Any]]) -> None:
        """1 lock, 2 the last line's hash, 3 write: always in this order."""
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # 1 released with the file
            state = os.fstat(file)
            torn = False
            if (state.st_ino, state.st_size) != self._left:  # somebody else has written, or moved it away
                self._last, torn = _last_hash(file, state.st_size)  # 2
            lines, last = self._chained(self._last, events)
            data = (b"\n" if torn else b"") + lines.encode()
            self._left = None
            if os.write(file, data) != len(data):  # 3
                os.ftruncate(file, state.st_size)
                raise OSError("the disk is full")
            self._last, self._left = last, (state.st_ino, state.st_size + len(data))
        finally:
            os.close(file)

    def _chained(self, last: str, events: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        time = self._now().isoformat(timespec="microseconds")
        lines = []
        for event in events:
            fields = {name: _short(value) for name, value in event.items()}
            text = _JSON({"time": time} | fields | {"previous": last})[:-1]
            last = hashlib.sha256(text.encode()).hexdigest()
            lines.append(f'{text},"hash":"{last}"}}\n')
        return "".join(lines), last


@dataclass(frozen=True, slots=True)
class Verified:
    """An unbroken file. `torn`: lines that a crash cut short, which the chain goes past. `last`: the hash to note."""

    lines: int
    torn: int
    last: str


class Broken(Exception):
    """The chain does not hold; the message says where."""


def verify(path: Path) -> Verified:
    """Read a file again from its first line; raises Broken or OSError."""
    last, lines, torn = FIRST, 0, 0
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            match = _LINE.fullmatch(data.decode("ascii", "replace").rstrip("\n"))
            if match is None:
                torn += 1
                continue
            text, previous, digest = match.groups()
            if hashlib.sha256(text.encode()).hexdigest() != digest:
                raise Broken(f"line {number} was changed")
            if previous != last:
                raise Broken(
                    f"line {number} does not follow the line before: one was taken out, changed or put between"
                )
            last, lines = digest, lines + 1
    return Verified(lines, torn, last)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _last_hash(file: int, size: int) -> tuple[str, bool]:
    """The hash of the last whole line, and whether a line without an end follows it."""
    data, start = b"", size
    torn: bool | None = None
    while start > 0:
        begin = max(0, start - _BLOCK)
        data, start = os.pread(file, start - begin, begin) + data, begin
        torn = not data.endswith(b"\n") if torn is None else torn
        for line in reversed(data.split(b"\n")[0 if start == 0 else 1 :]):
            if match := _LINE.fullmatch(line.decode("ascii", "replace")):
                return match[3], torn
    return FIRST, bool(torn)


def _short(value: Any) -> Any:
    return value[:MAX_FIELD] if isinstance(value, str) else value
