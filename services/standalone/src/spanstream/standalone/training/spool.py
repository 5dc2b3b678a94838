"""The passages of a training in one file, so that every epoch and every new start reads the same ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spanstream.ingestor.segmentation import passages
from spanstream.representations.errors import RepresentationError
from spanstream.representations.training.objective import Document
from spanstream.representations.training.stream import Source
from spanstream.standalone.encoder.texts import Piece
from spanstream.store.folder import write_atomically

FILE = "passages.jsonl"  # a copy of documents: removed at the end
ASKED = "asked.json"  # the names of what was read, beside it
MIN_SOURCES = 200  # documents: of fewer, too few are held out whole, and passages are held out one by one

_SHARE = 4  # of so many passages one has questions, if need be by being there more than once
_MOST_REPEATS = 20
_KEYS = {"text", "title", "queries", "negatives"}


class SpoolInvalid(RepresentationError):
    """Passages that no training wrote, or damaged ones: remove them, or train into another folder."""


class Counted(NamedTuple):
    """Passages, those of them with questions, and pairs of both."""

    passages: int
    asked: int
    pairs: int


def documents(found: Iterable[Piece]) -> Iterator[Document]:
    """Texts that were read, as they are written."""
    return (Document(piece.text, piece.title, source=piece.document) for piece in found)


def write(found: Iterable[Document], folder: Path, asked: Sequence[str] = ()) -> None:
    """Keep all passages, without their sentences, which `source` finds, and the names of what they were `asked` of. Raises
    OSError, and leaves nothing then.
    """
    new = folder / f"{FILE}.new"
    try:
        with open(new, "w", encoding="utf-8", opener=_for_the_owner) as file:
            for each in found:
                file.write(json.dumps(_plain(each)) + "\n")
        write_atomically(folder / ASKED, json.dumps(list(asked)))
        os.replace(new, folder / FILE)
    except OSError as error:
        error.filename = error.filename or str(new)  # a disk that is full names no file
        raise
    finally:
        new.unlink(missing_ok=True)


def asked(folder: Path) -> list[str] | None:
    """The names that its passages were asked of; None where that is not known."""
    path = folder / ASKED
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def remove(folder: Path) -> None:
    """Nothing happens where there is none."""
    for name in (FILE, ASKED):
        (folder / name).unlink(missing_ok=True)


def source(folder: Path, whole: bool | None = None) -> Source:
    """Gives those that have any text, with their sentences, each time it is called; those with questions so often that they
    are a quarter of all, but not more than _MOST_REPEATS times. `whole`: whether documents are held out whole, as a training
    before did; by their number if it is not said.
    """
    whole, found = by_document(folder) if whole is None else whole, count(folder)
    repeats = min(_MOST_REPEATS, max(1, found.passages // (_SHARE * max(found.asked, 1))))
    return lambda: (each for one in _read(folder, whole) for each in [one] * (repeats if one.queries else 1))


def count(folder: Path) -> Counted:
    """How many there are."""
    passages = asked = pairs = 0
    for each in _read(folder, whole=False):
        passages, asked, pairs = passages + 1, asked + bool(each.queries), pairs + len(each.queries)
    return Counted(passages, asked, pairs)


def by_document(folder: Path) -> bool:
    """Whether whole documents are held out, not passages: where there are MIN_SOURCES."""
    found: set[str] = set()
    for told in _lines(folder):
        found.add(told.get("document", ""))  # a training of an older version has none
        if len(found) >= MIN_SOURCES:
            return True
    return False


def held_out(whole: bool) -> str:
    """In words, what questions about those for the test are drawn from."""
    return f"pseudo-queries from {'documents' if whole else 'passages'} that were not learnt from"


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
            negatives = {
                question: tuple(
                    Document(each["text"], each["title"], queries=tuple(each["queries"])) for each in several
                )
                for question, several in told["negatives"].items()
            }
            place = told["document"] if whole else ""
            yield Document(text, title, sentences, tuple(told["queries"]), place, negatives)


def _plain(document: Document) -> dict[str, Any]:
    return {
        "text": document.text,
        "title": document.title,
        "document": document.source,
        "queries": document.queries,
        "negatives": {question: [_plain(each) for each in several] for question, several in document.negatives.items()},
    }


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    with open(folder / FILE, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                told = json.loads(line)
            except ValueError:
                told = None
            if not isinstance(told, dict) or not told.keys() >= _KEYS:
                raise SpoolInvalid(
                    f"{folder / FILE}, line {number}: no passage of a training: remove the file, or train into another folder"
                )
            yield told


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
