"""A random sample of the texts in files and folders, read one after the other."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spanstream.client import files

PLAIN = frozenset({".txt", ".text", ".rst", ".md", ".markdown"})


class Unreadable(Exception):
    """A file that cannot be read as text or as records: the message says which, where and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`texts`, all different and none blank, out of `of` that there were; `skipped` files were of other types."""

    texts: list[str] = field(repr=False)
    of: int
    skipped: int = 0


def sample(paths: Iterable[Path], size: int) -> Sample:
    """Text and Markdown files, one text each, and the lines of .jsonl and .ndjson files, a text each. Raises Unreadable."""
    chosen, skipped = [], 0
    for path in paths:
        try:
            selection = files.select(path)
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
        for file in selection.paths:
            if file.suffix.lower() in PLAIN | files.RECORDS or file == path:
                chosen.append(file)
            else:
                skipped += 1
        skipped += selection.skipped.total()
    drawn = draw((text for file in chosen for text in _texts(file)), size)
    return Sample(drawn.texts, drawn.of, skipped)


def draw(texts: Iterable[str], size: int) -> Sample:
    """`size` of the texts that are not blank, in their order, without repetitions; the same ones each time."""
    source, kept, count = random.Random(0), list[tuple[int, str]](), 0
    for text in texts:
        if not text.strip():
            continue
        place = count if count < size else source.randrange(count + 1)
        if place < size:
            kept[place : place + 1] = [(count, text)]
        count += 1
    return Sample(list(dict.fromkeys(text for _, text in sorted(kept))), count)


def _texts(path: Path) -> Iterator[str]:
    try:
        if path.suffix.lower() in files.RECORDS:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _text_of(line, f"{path}:{number}")
        else:
            data = path.read_bytes()
            if b"\0" in data[:4096]:
                raise Unreadable(f"{path} is not a text file")
            yield data.decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error


def _text_of(line: bytes, place: str) -> str:
    """The text of a record, or its title if it has no text."""
    try:
        record = json.loads(line)
        return str(record.get("text") or record.get("title") or "")
    except (ValueError, AttributeError) as error:
        raise Unreadable(f"{place} is not a JSON object") from error
