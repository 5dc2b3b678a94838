"""The passages of a training in one file, so that every epoch and every new start reads the same ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from spanstream.ingestor.segmentation import passages
from spanstream.representations.training.objective import Document
from spanstream.representations.training.stream import Source
from spanstream.standalone.encoder.texts import Piece

FILE = "passages.jsonl"  # a copy of documents: removed at the end
MIN_SOURCES = 200  # documents: of fewer, too few are held out whole, and passages are held out one by one


def write(found: Iterable[Piece], folder: Path) -> None:
    """Keep all passages. Raises OSError, and leaves nothing then."""
    new = folder / f"{FILE}.new"
    try:
        with open(new, "w", encoding="utf-8", opener=_for_the_owner) as file:
            for piece in found:
                told = {"text": piece.text, "title": piece.title, "document": piece.document}
                file.write(json.dumps(told) + "\n")
        os.replace(new, folder / FILE)
    finally:
        new.unlink(missing_ok=True)


def source(folder: Path) -> Source:
    """Gives those that have any text, with their sentences, each time it is called."""
    whole = by_document(folder)
    return lambda: _read(folder, whole)


def by_document(folder: Path) -> bool:
    """Whether whole documents are held out, not passages: where there are MIN_SOURCES."""
    found: set[str] = set()
    for told in _lines(folder):
        found.add(told.get("document", ""))
        if len(found) >= MIN_SOURCES:
            return True
    return False


def held_out(folder: Path) -> str:
    """In words, what questions about those for the test are drawn from."""
    return f"pseudo-queries from {'documents' if by_document(folder) else 'passages'} that were not learnt from"


def digest(folder: Path) -> str:
    """SHA-256 of all passages in their order, as hexadecimal digits."""
    with open(folder / FILE, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path, whole: bool) -> Iterator[Document]:
    for told in _lines(folder):
        text = told["text"].encode(errors="replace").decode()  # halves of characters, which no model reads
        cuts = passages(text, max(len(text), 1), max(len(text), 1))
        sentences = tuple(sentence for cut in cuts for sentence in cut.sentences)
        if sentences:
            title = told["title"].encode(errors="replace").decode()
            yield Document(text, title, sentences, source=told["document"] if whole else "")


def _lines(folder: Path) -> Iterator[dict[str, str]]:
    with open(folder / FILE, encoding="utf-8") as file:
        yield from map(json.loads, file)


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
