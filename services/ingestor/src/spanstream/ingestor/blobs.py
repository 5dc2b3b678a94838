"""The blob store: raw bytes of one version of one document, on any file system that fsspec knows.

    <tenant>/<source>/<2 digits>/<hash of the id>/<version>-<hash of the bytes>
                                                 /<version>-erased

    .spanstream

So a document's blobs lie together, belong to no other, and can be deleted up to a version, whatever is being written.
On a disk the same bytes of several versions take their room once, under several names: while the log does not answer, each
time that a file is sent again makes a version.
Where any were, an empty mark says up to which: an event that comes once more is told from one whose blob got lost.

`.spanstream` says that this is the store, and since when, microseconds since 1970 (0: always). A folder without it is a
volume that is not mounted; one that is younger than what is looked for in it is another one: both are waited for.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from posixpath import basename

import fsspec
from fsspec.implementations.local import LocalFileSystem

from spanstream.events.ids import Key
from spanstream.runtime.file_systems import as_os_errors

# A name below the root: no scheme, no absolute path, no "..", no empty part.
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){1,7}")
HASH_BYTES = 32
_ID_BYTES = 16
_VERSION = re.compile(r"\.?([0-9]+)-")  # of a blob's name, and of one that a crash left beside its place
_ERASED = re.compile(r"([0-9]+)-erased")
_MARK = ".spanstream"
_AWAY = f"the blob store is empty, without {_MARK}: is its volume mounted?"
_YOUNGER = f"the blob store is younger than the document: is it another volume? If that one is lost, write 0 to {_MARK}"


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
    """Thread-safe. The same bytes of a version are stored once; a blob never changes."""

    def __init__(self, url: str, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """`url` as fsspec takes it, `file:<folder>` for example. Raises ValueError on an unknown scheme."""
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self._now_us = now_us
        self._seen = False  # whether this process has found the mark

    @property
    def folder(self) -> Path | None:
        """Where they lie; None: on no disk of this machine."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def make(self) -> None:
        """Mark the store as made, if it is new. Raises BlobsUnavailable, also where this process has seen a mark before."""
        with _reached():
            if (since := self._since()) is None:
                if self._seen:
                    raise BlobsUnavailable(_AWAY)
                since = self._now_us()
            if not self._seen:  # the same once more, but in a store from before there were marks
                self._write(self._path(_MARK), str(since).encode())
        self._seen = True

    def unready(self, *, make: bool) -> list[str]:
        """Why it is not there; with `make` it is made where nothing is."""
        if not self._seen:
            try:
                if make:
                    self.make()
                else:
                    with _reached():
                        self._check()
            except BlobsUnavailable as error:
                return [str(error)]
        return []

    def put(self, of: Key, version: int, data: bytes) -> str:
        """Store, durably when it returns; the key. Raises BlobsUnavailable."""
        self.make()
        digest = hashlib.blake2b(data, digest_size=HASH_BYTES).hexdigest()
        key = f"{_place(of.tenant, of.source, of.id)}/{version}-{digest}"
        with _reached():
            if not self._holds(self._path(key), data):
                self._write(self._path(key), data, digest)
        return key

    def get(self, key: str, max_bytes: int) -> bytes:
        """The bytes. Raises BlobMissing, BlobTooLarge or BlobsUnavailable; ValueError for what is no key."""
        if not is_key(key):
            raise ValueError("not a blob key")
        with _reached():
            try:
                with self._fs.open(self._path(key), "rb") as file:
                    data: bytes = file.read(max_bytes + 1)
            except FileNotFoundError as error:
                self._check()
                raise BlobMissing("no such blob") from error
        if len(data) > max_bytes:
            raise BlobTooLarge(f"more than {max_bytes} bytes")
        return data

    def existed(self, logged_ms: int) -> None:
        """Of what is missing: raises BlobsUnavailable where the store was made after the log took its event, milliseconds since
        1970. 0: that is not known.
        """
        with _reached():
            self._check(logged_ms)

    def forget(self, of: Key, version: int) -> None:
        """Delete the document's blobs of all versions up to this one; idempotent. Raises BlobsUnavailable.

        1 mark, 2 delete: whoever finds none finds the mark.
        """
        place = _place(of.tenant, of.source, of.id)
        mark = self._path(f"{place}/{version}-erased")
        with _reached():
            found = self._found(place)
            if not found:
                self._check()
            old = [path for path in found if (named := _VERSION.match(basename(path))) and int(named[1]) <= version]
            if old and mark not in old:
                self._write(mark, b"")  # 1
            for path in old:  # 2
                if path != mark:
                    with suppress(FileNotFoundError):  # somebody else was quicker
                        self._fs.rm_file(path)

    def erased(self, of: Key, version: int) -> bool:
        """Whether the document's blobs were deleted up to this version or a later one. Raises BlobsUnavailable."""
        with _reached():
            found = self._found(_place(of.tenant, of.source, of.id))
            if not found:
                self._check()
        marks = filter(None, (_ERASED.fullmatch(basename(path)) for path in found))
        return any(int(mark[1]) >= version for mark in marks)

    def count(self, tenant: str, source: str | None = None, id: str | None = None) -> int:
        """How many blobs there are of a document, a source or a tenant. Raises BlobsUnavailable."""
        with _reached():
            found = self._found(_place(tenant, source, id))
            if not found:
                self._check()
        return sum(not _ERASED.fullmatch(basename(path)) for path in found)

    def _found(self, place: str) -> list[str]:
        self._fs.invalidate_cache()  # of listings, which object stores keep
        found: list[str] = self._fs.find(self._path(place))
        return found

    def _check(self, logged_ms: int = 0) -> None:
        """Where something was not found: whether it could be. Raises BlobsUnavailable, and OSError."""
        since = self._since()
        if since is None:
            raise BlobsUnavailable(_AWAY)
        if 0 < logged_ms <= since // 1000:  # in the same millisecond it may have been before
            raise BlobsUnavailable(_YOUNGER)
        self._seen = True

    def _since(self) -> int | None:
        """As the mark says; 0 for a store from before there were marks; None: this is none."""
        try:
            return int(self._fs.cat_file(self._path(_MARK)) or b"0")
        except FileNotFoundError:
            return 0 if self._holds_any() else None
        except ValueError as error:
            raise BlobsUnavailable(f"{_MARK} in the blob store is damaged: write 0 to it") from error

    def _holds_any(self) -> bool:
        self._fs.invalidate_cache()
        try:
            return bool(self._fs.ls(self._root, detail=False))
        except FileNotFoundError:
            return False

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _holds(self, path: str, data: bytes) -> bool:
        """Whether these very bytes are there: what a disk has changed is written anew, or its document could never be sent again."""
        try:
            with self._fs.open(path, "rb") as file:
                return bool(file.read(len(data) + 1) == data)
        except FileNotFoundError:
            return False

    def _write(self, path: str, data: bytes, digest: str = "") -> None:
        """`digest`: of blobs, in the names of the document's others with the same bytes."""
        if isinstance(self._fs, LocalFileSystem):
            _write_durably(Path(path), data, self._same(Path(path).parent, data, digest) if digest else None)
        else:
            self._fs.pipe_file(path, data)  # an object store: one request, all or nothing, durable when answered

    def _same(self, folder: Path, data: bytes, digest: str) -> Path | None:
        """A file that holds these very bytes."""
        for path in folder.glob(f"[0-9]*-{digest}"):
            with suppress(OSError):  # the disk has lost that one
                if self._holds(str(path), data):
                    return path
        return None


@contextmanager
def _reached() -> Iterator[None]:
    """Raises BlobsUnavailable for what a file system says."""
    try:
        with as_os_errors():
            yield
    except OSError as error:
        raise BlobsUnavailable(f"the blob store: {error.strerror or type(error).__name__}") from error


def _place(tenant: str, source: str | None, id: str | None) -> str:
    """The folder of a document, of a source, or of a tenant."""
    if source is None:
        return tenant
    if id is None:
        return f"{tenant}/{source}"
    digest = hashlib.blake2b(id.encode(), digest_size=_ID_BYTES).hexdigest()
    return f"{tenant}/{source}/{digest[:2]}/{digest}"


def _write_durably(path: Path, data: bytes, same: Path | None = None) -> None:
    """1 write aside, or link to a file that holds the `same`, 2 sync, 3 rename, 4 sync the folders: after a power cut the
    file is whole or absent.
    """
    folders = [path.parent, *(parent for parent in path.parent.parents if not parent.exists())]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        if same is None or not _linked(same, aside):  # 1
            with aside.open("xb") as file:
                file.write(data)
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


def _linked(of: Path, path: Path) -> bool:
    """Whether there is another name for it now: not every file system has links, and it may just have been deleted."""
    try:
        path.hardlink_to(of)
    except OSError:
        return False
    return True
