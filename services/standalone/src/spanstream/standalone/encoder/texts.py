"""The texts that a command is given, read and cut as `spanstream ingest` and the ingestor do it; and random samples of them."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from spanstream.client import files, output
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.parsing.kinds import Kind, by_file_name
from spanstream.ingestor.parsing.parsed import Limits, ParseError
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.segmentation import passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.standalone import corpus
from spanstream.standalone.encoder import logged
from spanstream.standalone.named_log import opened_log

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

LOG = "log:"  # that of the Spanstream that runs on this machine, or of LOG_URL
_SEED = 0  # the same texts give the same sample
_SHOWN = 5  # documents that could not be read


@dataclass(frozen=True, slots=True)
class Piece:
    """A document or a passage of one: its text, normalised, and its document's title. `document`: of a passage, a hash
    of its document's text.
    """

    text: str = field(repr=False)
    title: str = field(repr=False)
    document: str = ""


class Reader:
    """Reads files, folders, for "-" the JSON lines of stdin, for "log:" or "kafka://..." the texts of the documents there;
    without any name the documentation of Python.

    Afterwards `unread` lists what could not be read, as "where: why", without its text; `skipped` files were of other types.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Passages have the length that the ingestor's settings in this environment say; raises SettingsError, BadParameter."""
        if missing := [name for name in names if not (name == "-" or _is_log(name) or Path(name).exists())]:
            raise typer.BadParameter(f"no such file or folder: {missing[0]}", param_hint="PATH")
        settings = IngestorSettings.read(log_url="memory:", blob_url="memory:")
        self._characters, self._sentences = settings.passage_characters, settings.sentences_per_passage
        self._logs = [name for name in names if _is_log(name)]
        self._names = [name for name in names if not _is_log(name)]
        self.unread: list[str] = []
        self.skipped = 0

    def documents(self) -> Iterator[Piece]:
        """Whole documents. Raises ParserUnavailable and OSError."""
        if not self._names and not self._logs:
            yield from (Piece(normalise(document.text), document.title) for document in corpus.documents())
            return
        for name in self._logs:
            with opened_log(os.environ.get("LOG_URL") if name == LOG else name) as log:
                yield from (Piece(text, title) for text, title in logged.texts(log))
        parser = Parser(Limits())
        try:
            for place, kind, data in self._found():
                try:
                    parsed = parser.parse(kind, data)
                except ParseError as error:
                    self.unread.append(f"{place}: {error.detail}")
                    continue
                yield Piece(normalise(parsed.text), parsed.title)
        finally:
            parser.close()

    def passages(self) -> Iterator[Piece]:
        """Their passages."""
        for document in self.documents():
            name = digest(document.text)
            for passage in passages(document.text, self._characters, self._sentences):
                yield Piece(document.text[passage.start : passage.end], document.title, name)

    def tell(self, console: Console) -> None:
        """Of what was not read."""
        for line in self.unread[:_SHOWN]:
            console.print(f"not read: {output.clean(line)}", markup=False, style="yellow", soft_wrap=True)
        if len(self.unread) > _SHOWN:
            console.print(f"… and {len(self.unread) - _SHOWN} more not read", style="yellow")
        if self.skipped:
            console.print(f"skipped {self.skipped} files that `spanstream ingest` does not take either", style="dim")

    def _found(self) -> Iterator[tuple[str, Kind, bytes]]:
        """Where each document stands, its format and its bytes."""
        for name in self._names:
            if name == "-":
                yield from ((line.place, Kind.JSON, line.data) for line in files.lines(sys.stdin.buffer, "stdin"))
                continue
            selected = files.select(Path(name))
            self.skipped += selected.skipped.total()
            for path in selected.paths:
                if path.suffix.lower() in files.RECORDS:
                    with path.open("rb") as file:
                        yield from ((line.place, Kind.JSON, line.data) for line in files.lines(file, str(path)))
                else:
                    yield str(path), by_file_name(path.name) or Kind.TEXT, path.read_bytes()


def digest(text: str) -> str:
    """By which passages of one document are known to belong together."""
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _is_log(name: str) -> bool:
    return name == LOG or name.startswith("kafka://")


def draw(found: Iterable[T], size: int) -> tuple[list[T], int]:
    """`size` of what is found, in its order, each with the same chance, and how many there were (reservoir sampling)."""
    chance, kept, count = random.Random(_SEED), list[tuple[int, T]](), 0
    for count, each in enumerate(found, 1):
        place = count - 1 if count <= size else chance.randrange(count)
        if place < size:
            kept[place : place + 1] = [(count, each)]
    return [each for _, each in sorted(kept, key=lambda pair: pair[0])], count
