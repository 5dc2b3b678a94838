"""The blob store: raw bytes under a key made of their own hash, on any file system that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

# A name below the root: no scheme, no absolute path, no "..", no empty part.
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){1,7}")
HASH_BYTES = 32


class BlobError(Exception):
    """Base of this module's errors."""


class BlobMissing(BlobError):
    """There are no bytes under this key: reject the record."""


class BlobTooLarge(BlobError):
    """More bytes than the caller would take: reject the record."""


class BlobsUnavailable(BlobError):
    """The store does not answer, or is full: try again later."""


def is_key(key: str) -> bool:
    """Whether it is a key below the root: anything else (a URL, a path) must never reach the file system."""
    return bool(_KEY.fullmatch(key))


def tenant_of(key: str) -> str:
    """The tenant that a key belongs to."""
    return key.partition("/")[0]


class Blobs:
    """Thread-safe. The same bytes of a tenant are stored once; a blob never changes."""

    def __init__(self, url: str) -> None:
        """`url` as fsspec takes it, `file:<folder>` for example. Raises ValueError on an unknown scheme."""
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def put(self, tenant: str, data: bytes) -> str:
        """Store, durably when it returns; the key. Raises BlobsUnavailable."""
        digest = hashlib.blake2b(data, digest_size=HASH_BYTES).hexdigest()
        key = f"{tenant}/{digest[:2]}/{digest}"
        try:
            if not self._holds(self._path(key), data):
                self._write(self._path(key), data)
        except OSError as error:
            raise BlobsUnavailable(f"the blob store: {error.strerror or type(error).__name__}") from error
        return key

    def get(self, key: str, max_bytes: int) -> bytes:
        """The bytes. Raises BlobMissing, BlobTooLarge or BlobsUnavailable; ValueError for what is no key."""
        if not is_key(key):
            raise ValueError("not a blob key")
        try:
            with self._fs.open(self._path(key), "rb") as file:
                data: bytes = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise BlobMissing("no such blob") from error
        except OSError as error:
            raise BlobsUnavailable(f"the blob store: {error.strerror or type(error).__name__}") from error
        if len(data) > max_bytes:
            raise BlobTooLarge(f"more than {max_bytes} bytes")
        return data

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _holds(self, path: str, data: bytes) -> bool:
        """Whether these very bytes are there: what a disk has changed is written anew, or its document could never be sent again."""
        try:
            with self._fs.open(path, "rb") as file:
                return bool(file.read(len(data) + 1) == data)
        except FileNotFoundError:
            return False

    def _write(self, path: str, data: bytes) -> None:
        if isinstance(self._fs, LocalFileSystem):
            _write_durably(Path(path), data)
        else:
            self._fs.pipe_file(path, data)  # an object store: one request, all or nothing, durable when answered


def _write_durably(path: Path, data: bytes) -> None:
    """1 write aside, 2 sync, 3 rename, 4 sync the folders: after a power cut the file is whole or absent."""
    folders = [path.parent, *(parent for parent in path.parent.parents if not parent.exists())]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("xb") as file:
            file.write(data)  # 1
            file.flush()
            os.fsync(file.fileno())  # 2
        aside.replace(path)  # 3
    finally:
        aside.unlink(missing_ok=True)
    for folder in {*folders, folders[-1].parent}:  # 4
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
