"""A file that is read again when it changes. What was read last stays in force until the new content can be read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from spanstream.runtime.logs import get_logger
from spanstream.runtime.metrics import AUTH_FILE_UNREADABLE
from spanstream.runtime.settings import SettingsError

LOOK_SECONDS = 1.0  # between two looks at the file: how long a revoked key may still be accepted

log = get_logger()

T = TypeVar("T")


class Watched(Generic[T]):
    """`parse` makes the value from the file's bytes and raises ValueError. For one event loop."""

    def __init__(
        self, path: Path, parse: Callable[[bytes], T], setting: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`setting`: the variable that names the file. Raises SettingsError: nothing starts without a first value."""
        self._path = path
        self._parse = parse
        self._setting = setting
        self._clock = clock
        self._looked = clock()
        self._told: object = None
        try:
            self._seen = _mark(path)
            self._value = parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{setting}: {path} cannot be read ({type(error).__name__})") from error
        AUTH_FILE_UNREADABLE.labels(setting).set(0)

    def get(self) -> T:
        """The value of the file as it is, or was when it could last be read."""
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._looked = self._clock()
            self._look()
        return self._value

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
            told = (mark, type(error))
            if told != self._told:  # once for each state of the file
                log.error("auth_file_unreadable", setting=self._setting, detail="the old content stays in force")
            self._told = told
            return
        self._seen, self._told = mark, None
        AUTH_FILE_UNREADABLE.labels(self._setting).set(0)
        log.info("auth_file_read", setting=self._setting)


def _mark(path: Path) -> object:
    """Differs after a change."""
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size, state.st_ino
