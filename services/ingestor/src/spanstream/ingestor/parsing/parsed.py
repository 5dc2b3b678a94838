"""What every parser returns, raises and is limited by."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from spanstream.events.v1.failure_pb2 import Reason


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text before normalisation, its own title (empty if it names none) and "name/version" of the parser."""

    text: str = field(repr=False)
    title: str = field(repr=False)
    parser: str


class ParseError(Exception):
    """This document can never be read: reject it with `reason`. `detail` holds none of its text."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ParserUnavailable(Exception):
    """The parsers' process does not start: try again later. It says nothing of a document."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a parser may use for one document. They bound work and memory, so each is checked before it is spent."""

    text_characters: int = 4 * 2**20
    uncompressed_bytes: int = 200 * 2**20  # of an archive (DOCX), as its directory states them
    archive_entries: int = 2_000
    compression_ratio: int = 200  # real DOCX files reach about 30
    pages: int = 5_000
    memory_bytes: int = 2**29  # address space of the child process; its libraries take 70 MB of it
    seconds: float = 10.0  # wall time and CPU time


@cache
def release(package: str) -> str:
    """The installed version of `package`, for `Parsed.parser`. It is read from the disk once."""
    return f"{package}/{version(package)}"
