"""Room on disks: who writes stops while there is some left, because what runs out of it fails badly (decision 0029)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spanstream.eventlog.errors import Retry
from spanstream.runtime.logs import get_logger

if TYPE_CHECKING:
    from spanstream.eventlog.log import Record
    from spanstream.eventlog.loop import Handler, Result

AGAIN_SECONDS = 5.0  # between two looks of a worker that waits for room

log = get_logger()


def free_bytes(folder: Path) -> int:
    """Bytes that its disk has left; it need not be there yet."""
    while True:
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            folder = folder.parent


class FreeSpace:
    """Keeps `least_bytes` free on the disk of each of `folders`. Thread-safe; a look takes microseconds."""

    def __init__(self, folders: Iterable[Path], least_bytes: int, free: Callable[[Path], int] = free_bytes) -> None:
        """`free` says how many bytes are."""
        self._folders = tuple(folders)
        self._least = least_bytes
        self._free = free
        self._full = False

    def lack(self) -> str:
        """Which disk has too little, for whoever runs it; empty: none has. Logged where that changes."""
        words = next(filter(None, map(self._lack, self._folders)), "")
        if words and not self._full:
            log.error("disk_full", detail=words)
        elif self._full and not words:
            log.info("disk_has_room")
        self._full = bool(words)
        return words

    def _lack(self, folder: Path) -> str:
        try:
            free = self._free(folder)
        except OSError as error:  # a volume that is cut off: to be waited for as a full one is
            return f"the disk of {folder} does not answer: {error.strerror}"
        return "" if free >= self._least else _words(folder, free, self._least)

    def waiting(self, handle: Handler) -> Handler:
        """`handle`, which is not called while there is too little: its records wait in the log."""

        def handled(records: Sequence[Record]) -> Iterable[Result]:
            if words := self.lack():
                raise Retry(AGAIN_SECONDS, words)
            return handle(records)

        return handled


def _words(folder: Path, free: int, least: int) -> str:
    return f"the disk of {folder} is full: {free >> 20} MiB free, {least >> 20} MiB needed; make room and it goes on"
