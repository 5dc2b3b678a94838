"""Folders copied durably, holes as holes: an index is made of files that are mostly empty room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20


def copy_folder(source: Path, target: Path) -> None:
    """`target` is made, and holds the same files when this returns, also after a power cut. Raises OSError."""
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir()
        else:
            _copy_file(path, copy)
    for folder in (*(path for path in target.rglob("*") if path.is_dir()), target, target.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Bring the names in it to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _copy_file(source: Path, target: Path) -> None:
    with open(source, "rb") as read, open(target, "wb") as written:
        size = os.fstat(read.fileno()).st_size
        os.truncate(written.fileno(), size)
        for start, end in _extents(read.fileno(), size):
            for at in range(start, end, CHUNK):
                os.pwrite(written.fileno(), os.pread(read.fileno(), min(CHUNK, end - at), at), at)
        os.fsync(written.fileno())


def _extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where there is data, as [start, end)."""
    at = 0
    while at < size:
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(file, at, os.SEEK_HOLE)
        yield at, end
        at = end
