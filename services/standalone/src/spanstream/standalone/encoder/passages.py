"""A random sample of passages: files are found, read and cut as `spanstream ingest` and the ingestor do it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from spanstream.client import files
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.parsing.kinds import Kind, by_file_name
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.segmentation import passages
from spanstream.ingestor.settings import IngestorSettings

_SEED = 0  # the same texts give the same sample


@dataclass(frozen=True, slots=True)
class Passage:
    """What the encoder reads: the text, after its document's title."""

    text: str = field(repr=False)
    title: str = field(repr=False)


class Reader:
    """Goes once through documents. `unread` then lists those that could not be read, as "where: why", without their text."""

    def __init__(self) -> None:
        """Passages have the length that the ingestor's settings in this environment say; raises SettingsError."""
        settings = IngestorSettings.read(log_url="memory:", blob_url="memory:")
        self._characters, self._sentences = settings.passage_characters, settings.sentences_per_passage
        self.unread: list[str] = []

    def passages(self, names: Sequence[str], stdin: BinaryIO) -> Iterator[Passage]:
        """The passages of files, folders, and for "-" of the JSON lines of `stdin`."""
        parser = Parser(Limits())
        try:
            for place, kind, data in _documents(names, stdin):
                try:
                    parsed = parser.parse(kind, data)
                except ParseError as error:
                    self.unread.append(f"{place}: {error.detail}")
                    continue
                yield from self._cut(parsed)
        finally:
            parser.close()

    def _cut(self, parsed: Parsed) -> Iterator[Passage]:
        text = normalise(parsed.text)
        for passage in passages(text, self._characters, self._sentences):
            yield Passage(text[passage.start : passage.end], parsed.title)


def draw(found: Iterable[Passage], size: int) -> tuple[list[Passage], int]:
    """`size` of the passages in their order, each with the same chance, and how many there were (reservoir sampling)."""
    chance, kept, count = random.Random(_SEED), list[tuple[int, Passage]](), 0
    for count, passage in enumerate(found, 1):
        place = count - 1 if count <= size else chance.randrange(count)
        if place < size:
            kept[place : place + 1] = [(count, passage)]
    return [passage for _, passage in sorted(kept, key=lambda pair: pair[0])], count


def _documents(names: Sequence[str], stdin: BinaryIO) -> Iterator[tuple[str, Kind, bytes]]:
    """Where each document stands, its format and its bytes."""
    for name in names:
        if name == "-":
            yield from ((line.place, Kind.JSON, line.data) for line in files.lines(stdin, "stdin"))
            continue
        for path in files.select(Path(name)).paths:
            if path.suffix.lower() in files.RECORDS:
                with path.open("rb") as file:
                    yield from ((line.place, Kind.JSON, line.data) for line in files.lines(file, str(path)))
            else:
                yield str(path), by_file_name(path.name) or Kind.TEXT, path.read_bytes()
