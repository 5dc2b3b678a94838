"""What a backup says of itself, and whether it still is what was written. Pure, but for reading files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanstream.store.folder import write_atomically

FILE = "manifest.json"
STORE = "store"  # the folder of the store's snapshot
FORMAT = 1
CHUNK = 1 << 20

Positions = Mapping[str, Mapping[int, int]]  # topic -> partition -> offset


class Unfit(Exception):
    """This backup cannot be put back; the message says why, and what can be done."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`cluster`: of the log. `indexed`: what the indexer had committed before the snapshot was taken; `applied`: offsets of
    documents.v1 below which everything was in the index by then. `files`: path below the backup -> bytes, and as `hashed` says.
    """

    made_at_us: int
    cluster: str
    indexed: Positions
    applied: Mapping[int, int]
    files: Mapping[str, tuple[int, str]]
    format: int = FORMAT

    @property
    def seal(self) -> str:
        """A hash over all of it: note it elsewhere, and nobody can change backup and manifest alike unnoticed."""
        return hashlib.blake2b(json.dumps(_plain(self), sort_keys=True).encode(), digest_size=32).hexdigest()


def write(folder: Path, manifest: Manifest) -> None:
    """Last of all: a folder without it is no backup."""
    write_atomically(folder / FILE, json.dumps(_plain(manifest) | {"seal": manifest.seal}, indent=1))


def read(folder: Path, seal: str | None = None) -> Manifest:
    """The manifest, held against its own seal and the one that was noted, if it is given. Raises Unfit."""
    try:
        found = json.loads((folder / FILE).read_text())
    except FileNotFoundError as error:
        raise Unfit(f"{folder} is no backup, or one that was not finished: it has no {FILE}") from error
    except (OSError, ValueError) as error:
        raise Unfit(f"{folder / FILE} cannot be read: {type(error).__name__}") from error
    try:
        if found["format"] > FORMAT:
            raise Unfit(
                f"{folder} was made by a newer version (format {found['format']}, this one reads {FORMAT}): update first"
            )
        manifest = _manifest(found)
        told = found["seal"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unfit(f"{folder / FILE} is damaged: {type(error).__name__}") from error
    if manifest.seal != told or (seal is not None and manifest.seal != seal):
        raise Unfit(f"{folder / FILE} is not as it was written: its seal is {manifest.seal}, not {seal or told}")
    return manifest


def check_files(folder: Path, manifest: Manifest, progress: Callable[[int, int], None]) -> None:
    """Raises Unfit where a file is missing, too many, or not as it was written. `progress`: bytes done, of how many."""
    there = dict(paths(folder))
    if missing := manifest.files.keys() - there.keys():
        raise Unfit(f"{folder} is damaged: {len(missing)} files are missing, {min(missing)} among them")
    if foreign := there.keys() - manifest.files.keys():
        raise Unfit(f"{folder} holds {len(foreign)} files that are not of the backup, {min(foreign)} among them")
    done, total = 0, sum(size for size, _ in manifest.files.values())
    for name, (size, digest) in manifest.files.items():
        if there[name].stat().st_size != size or hashed(there[name]) != digest:
            raise Unfit(f"{folder} is damaged: {name} is not as it was written")
        done += size
        progress(done, total)


def paths(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name below the backup -> file, of all but the manifest. Raises Unfit for a link: it could lead anywhere."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise Unfit(f"{path} is a link: a backup has none")
        if path.is_file() and path != folder / FILE:
            yield path.relative_to(folder).as_posix(), path


def hashed(path: Path) -> str:
    """BLAKE2b-256 over the pieces of a file that are not all zeros, each with its place: an index is mostly empty room."""
    digest, zeros = hashlib.blake2b(digest_size=32), bytes(CHUNK)
    with open(path, "rb") as file:
        at = 0
        while piece := file.read(CHUNK):
            if piece != zeros[: len(piece)]:
                digest.update(at.to_bytes(8, "big"))
                digest.update(piece)
            at += len(piece)
    return digest.hexdigest()


def is_empty(folder: Path) -> bool:
    """Whether a backup may be written there."""
    return not folder.exists() or (folder.is_dir() and not os.listdir(folder))


def _plain(manifest: Manifest) -> dict[str, Any]:
    """As JSON: partitions become texts."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(manifest)))
    return plain


def _manifest(found: Mapping[str, Any]) -> Manifest:
    return Manifest(
        made_at_us=int(found["made_at_us"]),
        cluster=str(found["cluster"]),
        indexed={topic: _offsets(each) for topic, each in found["indexed"].items()},
        applied=_offsets(found["applied"]),
        files={name: (int(size), str(digest)) for name, (size, digest) in found["files"].items()},
        format=int(found["format"]),
    )


def _offsets(found: Mapping[str, Any]) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in found.items()}
