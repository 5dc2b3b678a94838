"""A registry: `<root>/<release>/manifest.json` and the files that it names, on any file system that fsspec knows.

The manifest comes last and is made once: a release without it is none yet, one with it never changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from posixpath import basename
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from spanstream.runtime.file_systems import as_os_errors
from spanstream.standalone.releases import manifest as manifests
from spanstream.standalone.releases.manifest import Manifest, Refused

_CHUNK = 1 << 20

Progress = Callable[[int], None]  # bytes that came since it was last called


class Registry:
    """A folder, or what fsspec calls s3://bucket/prefix and the like. Its methods raise OSError where that does not answer."""

    def __init__(self, url: str) -> None:
        """Raises Refused for an address that nothing here can read."""
        self.url = url
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise Refused(f"the registry {url}: {error}") from error
        self._root = root.rstrip("/")

    @as_os_errors()
    def names(self) -> list[str]:
        """Of all releases. Raises Refused where there is no registry."""
        self._fs.invalidate_cache()
        if not self._fs.exists(self._root):
            raise Refused(f"there is no registry at {self.url}")
        found = (basename(path.rstrip("/")) for path in self._fs.ls(self._root, detail=False))
        return sorted(filter(self._has, found))

    @as_os_errors()
    def manifest(self, name: str) -> Manifest:
        """Raises Refused for a release that is unknown, or whose manifest is damaged."""
        manifests.refuse_name(name)
        if not self._has(name):
            raise Refused(f"{self.url} has no release {name!r}; it has {', '.join(self.names()) or 'none'}")
        found = _read_manifest(self._fs, self._path(name, manifests.FILE), f"the manifest of {name} in {self.url}")
        if found.release != name:
            raise Refused(f"the manifest of {name} in {self.url} is of another release, {found.release!r}")
        return found

    @as_os_errors()
    def publish(self, folder: Path, manifest: Manifest, progress: Progress) -> bool:
        """Whether the release came in, or was there already. 1 files, 2 what an attempt before left, 3 the manifest.

        Raises Refused where another release has its name, or a file changes meanwhile.
        """
        name = manifest.release
        self._fs.makedirs(self._path(name), exist_ok=True)
        if self._has(name):
            return self._refuse_other(manifest)
        for path, entry in manifest.files.items():  # 1
            with open(folder / path, "rb") as source:
                digest = self._write(self._path(name, path), source, progress)
            if digest != entry.sha256:
                raise Refused(f"{folder / path} changed while it was published")
        for path in _listed(self._fs, self._path(name)) - manifest.files.keys():  # 2
            self._fs.rm_file(self._path(name, path))
        try:
            self._create(self._path(name, manifests.FILE), manifest.text().encode())  # 3
        except FileExistsError:  # somebody else was quicker
            return self._refuse_other(manifest)
        return True

    @as_os_errors()
    def fetch(self, name: str, out: Path, seal: str | None, progress: Progress) -> tuple[Manifest, bool]:
        """Copy a release to a folder, each file held against its hash; False where it was there, whole, already.

        Raises Refused; then nothing is left behind.
        """
        found = _sealed(self.manifest(name), seal)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not (out / manifests.FILE).is_file() or in_folder(out) != found:
                raise Refused(f"{out} holds something else already")
            verify_folder(out, None, progress)
            return found, False
        if out.resolve() == Path.cwd():  # an empty one is replaced: whoever stands in it would see nothing come
            raise Refused(f"{out} is the folder that you are in: name one in it")
        aside = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
        aside.mkdir(parents=True)
        try:
            _check(self._fs, self._path(name), found, progress, aside)
            (aside / manifests.FILE).write_text(found.text(), encoding="utf-8")
            os.replace(aside, out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return found, True

    @as_os_errors()
    def verify(self, name: str, seal: str | None, progress: Progress) -> Manifest:
        """Read every file. Raises Refused, which names the one that is missing, too many, or not as it was."""
        found = _sealed(self.manifest(name), seal)
        _check(self._fs, self._path(name), found, progress)
        return found

    def _has(self, name: str) -> bool:
        self._fs.invalidate_cache()  # of listings, which object stores keep
        return bool(self._fs.exists(self._path(name, manifests.FILE)))

    def _refuse_other(self, manifest: Manifest) -> bool:
        if self.manifest(manifest.release) != manifest:
            raise Refused(
                f"{self.url} has another {manifest.release} already, and a release never changes: rename yours"
            )
        return False

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _write(self, path: str, source: BinaryIO, progress: Progress) -> str:
        """SHA-256 of what was written; durable when it returns."""
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._fs.open(path, "wb") as target:
            digest = _copy(source, target, progress)
            _flush(target)
        return digest

    def _create(self, path: str, data: bytes) -> None:
        """Whole or not at all. Raises FileExistsError."""
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.pipe_file(path, data, mode="create")  # an object store: one request
            return
        aside = f"{self._root}/.{uuid.uuid4().hex}"
        try:
            with open(aside, "xb") as file:
                file.write(data)
                _flush(file)
            os.link(aside, path)
        finally:
            Path(aside).unlink(missing_ok=True)


def in_folder(folder: Path) -> Manifest:
    """That of a release that was fetched. Raises Refused."""
    path = folder / manifests.FILE
    if not path.is_file():
        raise Refused(f"{folder} is no release that was fetched: it has no {manifests.FILE}")
    return _read_manifest(LocalFileSystem(), str(path), str(path))


def verify_folder(folder: Path, seal: str | None, progress: Progress) -> Manifest:
    """A release that was fetched. Raises Refused as `verify` does."""
    found = _sealed(in_folder(folder), seal)
    _check(LocalFileSystem(), str(folder.resolve()), found, progress)
    return found


def _sealed(found: Manifest, seal: str | None) -> Manifest:
    if seal not in (None, found.seal):
        raise Refused(f"{found.release} is not what was noted: its seal is {found.seal}, not {seal}")
    return found


def _read_manifest(fs: Any, path: str, where: str) -> Manifest:
    with fs.open(path, "rb") as file:
        text: bytes = file.read(manifests.MAX_BYTES + 1)
    if len(text) > manifests.MAX_BYTES:
        raise Refused(f"{where} is longer than {manifests.MAX_BYTES} bytes")
    return manifests.parsed(text, where)


def _check(fs: Any, root: str, manifest: Manifest, progress: Progress, into: Path | None = None) -> None:
    """Hold every file against its entry, and keep copies where asked."""
    there = _listed(fs, root)
    if missing := sorted(manifest.files.keys() - there):
        raise Refused(f"{manifest.release} is damaged: {missing[0]} is missing")
    if foreign := sorted(there - manifest.files.keys()):
        raise Refused(f"{manifest.release} is damaged: {foreign[0]} is none of its files")
    for path, entry in manifest.files.items():
        with ExitStack() as open_files:
            source = open_files.enter_context(fs.open(f"{root}/{path}", "rb"))
            target = None
            if into is not None:
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                target = open_files.enter_context(open(into / path, "wb"))
            digest = _copy(source, target, progress, entry.bytes)
            if target is not None:
                _flush(target)
        if digest != entry.sha256:
            raise Refused(f"{manifest.release} is damaged: {path} is not as it was published")


def _listed(fs: Any, root: str) -> set[str]:
    """Paths of all files below, but the manifest."""
    fs.invalidate_cache()
    found = {path.removeprefix(root).lstrip("/") for path in fs.find(root)}
    return found - {manifests.FILE}


def _copy(source: BinaryIO, target: Any, progress: Progress, most: int | None = None) -> str:
    """SHA-256 of what was read; where there are more than `most` bytes, of one chunk more at the utmost."""
    digest, done = hashlib.sha256(), 0
    for chunk in _chunks(source):
        digest.update(chunk)
        done += len(chunk)
        progress(len(chunk))
        if most is not None and done > most:
            break
        if target is not None:
            target.write(chunk)
    return digest.hexdigest()


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _flush(file: Any) -> None:
    """To the disk, where there is one below."""
    file.flush()
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):  # an object store's, durable once it is closed
        return
    os.fsync(descriptor)
