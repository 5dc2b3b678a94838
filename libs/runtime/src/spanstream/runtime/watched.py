"""A file that is read again when it changes. What was read last stays in force until the new content can be read; before
anything was, nobody gets in.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from spanstream.runtime.logs import get_logger
from spanstream.runtime.metrics import AUTH_FILE_UNREADABLE
from spanstream.runtime.problems import Problem
from spanstream.runtime.settings import SettingsError

LOOK_SECONDS = 1.0  # between two looks at the file: how long a revoked key may still be accepted
RETRY_SECONDS = 1

log = get_logger()

T = TypeVar("T")


class Watched(Generic[T]):
    """`parse` makes the value from the file's bytes and raises ValueError. Thread-safe."""

    def __init__(
        self, path: Path, parse: Callable[[bytes], T], setting: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`setting`: the variable that names the file. A file that is not there yet may come; raises SettingsError for a folder."""
        if path.is_dir():
            raise SettingsError(f"{setting}: {path} is a folder")
        self._path = path
        self._parse = parse
        self._setting = setting
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._seen: object = None
        self._told: object = None
        self._unread = ""
        self._looked = clock()
        self._look()

    def get(self) -> T:
        """The value of the file as it is, or was when it could last be read. Raises Problem 503 before it could be."""
        with self._lock:
            if self._clock() - self._looked >= LOOK_SECONDS:
                self._looked = self._clock()
                self._look()
            if self._value is None:
                raise Problem(503, "credentials cannot be checked yet", retry_after=RETRY_SECONDS)
            return self._value

    def unready(self) -> list[str]:
        """Why there is no value yet."""
        try:
            self.get()
        except Problem:
            return [self._unread]
        return []

    def _look(self) -> None:
        mark: object = None
        try:
            mark = _mark(self._path)  # before the reading: a change after it is seen at the next look
            if mark == self._seen:
                AUTH_FILE_UNREADABLE.labels(self._setting).set(0)
                return
            self._value = self._parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            AUTH_FILE_UNREADABLE.labels(self._setting).set(1)
            self._unread = f"{self._setting}: {self._path} cannot be read ({type(error).__name__})"
            told = (mark, type(error))
            if told != self._told:  # once for each state of the file
                force = "nobody gets in" if self._value is None else "the old content stays in force"
                log.error("auth_file_unreadable", setting=self._setting, detail=force)
            self._told = told
            return
        if self._seen is not None or self._told is not None:  # not of the first reading
            log.info("auth_file_read", setting=self._setting)
        self._seen, self._told = mark, None
        AUTH_FILE_UNREADABLE.labels(self._setting).set(0)


def _mark(path: Path) -> object:
    """Differs after a change."""
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size, state.st_ino
