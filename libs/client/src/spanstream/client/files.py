"""Which files of a folder are documents, under which ids, and in which source."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spanstream.client.documents import Document, File, Item, Line

TEXT = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
}
BINARY = {
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
RECORDS = frozenset({".jsonl", ".ndjson"})
IGNORED = frozenset({"node_modules", "__pycache__", "venv", "site-packages", "build", "dist", "target"})
BATCHED_BYTES = 256 << 10  # a larger text travels in a request of its own


@dataclass(frozen=True, slots=True)
class Selection:
    """The documents below one path: `paths` to send, and how many files were left out, by suffix."""

    folder: Path
    prefix: str
    paths: tuple[Path, ...]
    skipped: Counter[str] = field(default_factory=Counter)

    def total(self) -> int:
        """How many documents there will be. Reads the record files once, to count their lines."""
        return sum(_lines(path) if path.suffix.lower() in RECORDS else 1 for path in self.paths)

    def items(self) -> Iterator[Item]:
        """The documents, read when their turn comes; records as lines of JSON, each with its file and number.

        What cannot be read is a File: whoever sends it finds that out again, and goes on with the others.
        """
        for path in self.paths:
            name = self.prefix + path.relative_to(self.folder).as_posix()
            if path.suffix.lower() in RECORDS:
                try:
                    with path.open("rb") as file:
                        yield from lines(file, name)
                except OSError:
                    yield File(name, path)
            else:
                yield _document(name, path)


def lines(file: Iterable[bytes], name: str) -> Iterator[Line]:
    """The lines that are not blank, each with its place: the name and the number from 1. A byte order mark before the first
    is left out: among the lines of other files it would not be at the beginning of what is sent.
    """
    for number, line in enumerate(file, 1):
        if (data := line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
            yield Line(data, f"{name}:{number}")


def select(path: Path, *, prefix: bool = False) -> Selection:
    """The documents of a folder, or a single file whatever its suffix. With `prefix` the ids begin with the folder's name.

    A folder below it that cannot be read is among them; raises OSError where that is `path` itself.
    """
    if not path.is_dir():
        return Selection(path.parent, "", (path,))
    wanted, skipped = [], Counter[str]()
    for file in _walk(path):
        if file.suffix.lower() in TEXT.keys() | BINARY.keys() | RECORDS or file.is_dir():
            wanted.append(file)
        else:
            skipped[file.suffix.lower() or "no suffix"] += 1
    return Selection(path, f"{path.resolve().name}/" if prefix else "", tuple(wanted), skipped)


def source_name(path: Path) -> str:
    """A valid source name made of the folder's name: lower case, other characters become '-'."""
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("-._")[:64]
    return name or "files"


def _walk(folder: Path) -> Iterator[Path]:
    """Regular files in a stable order, and folders that cannot be read; hidden and build folders are left out, links are not
    followed.
    """
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            if entry.name not in IGNORED:
                try:
                    yield from _walk(entry)
                except OSError:
                    yield entry
        elif entry.is_file():
            yield entry


def _document(id: str, path: Path) -> Document | File:
    suffix = path.suffix.lower()
    kind = TEXT.get(suffix)
    try:
        if kind is not None and path.stat().st_size <= BATCHED_BYTES:
            return Document(id, path.read_bytes().decode("utf-8-sig"), content_type=kind)
    except (UnicodeDecodeError, OSError):
        pass  # the server finds the encoding, or says what is wrong; a file that cannot be read is reported when it is sent
    return File(id, path, kind or BINARY.get(suffix))


def _lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in lines(file, path.name))
    except OSError:
        return 1  # the failure
