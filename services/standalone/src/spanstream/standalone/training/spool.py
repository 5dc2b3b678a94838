"""The passages of a training in one file, so that every epoch and every new start reads the same ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from spanstream.ingestor.segmentation import passages
from spanstream.representations.training.objective import Document
from spanstream.standalone.encoder.texts import Piece

FILE = "passages.jsonl"  # a copy of documents: removed at the end


def write(found: Iterable[Piece], folder: Path) -> None:
    """Keep all passages. Raises OSError, and leaves nothing then."""
    new = folder / f"{FILE}.new"
    try:
        with open(new, "w", encoding="utf-8", opener=_for_the_owner) as file:
            for piece in found:
                file.write(json.dumps({"text": piece.text, "title": piece.title}) + "\n")
        os.replace(new, folder / FILE)
    finally:
        new.unlink(missing_ok=True)


def read(folder: Path) -> Iterator[Document]:
    """Those that have any text, with their sentences."""
    with open(folder / FILE, encoding="utf-8") as file:
        for line in file:
            told = json.loads(line)
            text = told["text"].encode(errors="replace").decode()  # halves of characters, which no model reads
            cuts = passages(text, max(len(text), 1), max(len(text), 1))
            sentences = tuple(sentence for cut in cuts for sentence in cut.sentences)
            if sentences:
                yield Document(text, told["title"].encode(errors="replace").decode(), sentences)


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
