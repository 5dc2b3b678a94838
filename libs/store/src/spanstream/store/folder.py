"""A data folder that one process at a time may use, and small files in it that are replaced whole."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from spanstream.store.errors import StoreUnavailable


class FolderLock:
    """Holds `<folder>/lock`; the system lets go of it when the process dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: int | None = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"the data folder {folder} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._file, 32, 0).decode() or "unknown"
            os.close(self._file)
            raise StoreUnavailable(
                f"the data folder {folder} is in use by process {owner}: only one process at a time may open it. "
                "Stop that one, choose another folder, or share a Qdrant server (STORE_URL=http://...)."
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go; idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def write_atomically(path: Path, text: str) -> None:
    """Replace the file's content; a crash leaves the old or the new, never a part."""
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
