"""What a release in a registry says of itself: its files with their hashes, where it comes from, and what the gate measured."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from spanstream.representations.errors import RepresentationError
from spanstream.standalone.gate import report

FILE = "manifest.json"
FORMAT = 1
MAX_BYTES = 4 << 20  # of a manifest
SUFFIXES = (
    ".safetensors",
    ".json",
    ".txt",
    ".yaml",
    ".md",
    ".model",
    ".png",
)  # no weights that run code when they are read
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){0,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Refused(RepresentationError):
    """A release or a registry that cannot be used as it is: the message names it, and what is wrong."""


class Entry(NamedTuple):
    """Of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files`: path below the release -> entry. `lineage`: base, its fingerprint, corpus and recipe. `gate`: its judgement."""

    release: str
    files: Mapping[str, Entry]
    lineage: Mapping[str, Any]
    gate: Mapping[str, Any]
    format: int = FORMAT

    @property
    def seal(self) -> str:
        """SHA-256 over all of it: noted elsewhere, it says that nobody has changed files and manifest alike."""
        return hashlib.sha256(json.dumps(_plain(self), sort_keys=True).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry.bytes for entry in self.files.values())

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(_plain(self) | {"seal": self.seal}, indent=1) + "\n"


def parsed(text: bytes, where: str) -> Manifest:
    """Raises Refused, also for a path that would lead out of the release."""
    try:
        found = json.loads(text)
        if found["format"] > FORMAT:
            raise Refused(f"{where} was made by a newer version (format {found['format']}): update first")
        manifest = Manifest(
            str(found["release"]),
            {str(path): Entry(int(size), str(digest)) for path, (size, digest) in found["files"].items()},
            dict(found["lineage"]),
            dict(found["gate"]),
            int(found["format"]),
        )
        report.card(manifest.gate)
        told = found["seal"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{where} is damaged: {type(error).__name__}") from error
    refuse_name(manifest.release)
    refuse_paths(manifest.files)
    if any(entry.bytes < 0 or not _SHA256.fullmatch(entry.sha256) for entry in manifest.files.values()):
        raise Refused(f"{where} is damaged: a size or hash that none can be")
    if manifest.seal != told:
        raise Refused(f"{where} is not as it was written: its seal is {manifest.seal}")
    return manifest


def refuse_name(name: str) -> None:
    """Raise Refused for what is no name of a release in a registry."""
    if not _NAME.fullmatch(name):
        raise Refused(
            f"{name!r} is no name of a release: up to 100 letters, digits, '.', '_' and '-' (see release.yaml)"
        )


def refuse_paths(paths: Iterable[str]) -> None:
    """Raise Refused for a file that leads out of its release, is of another kind, or is another one where case is lost."""
    known: set[str] = set()
    for path in paths:
        if not _PATH.fullmatch(path) or PurePosixPath(path).suffix not in SUFFIXES or path == FILE:
            raise Refused(f"{path!r} is no file of a release; these end with {', '.join(SUFFIXES)}")
        if path.lower() in known:
            raise Refused(f"{path!r} stands where another file of the release does")
        known.add(path.lower())


def _plain(manifest: Manifest) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(manifest)))
    return plain
