"""What can be ingested: a document given as text, a record of fields, or a file in one of the formats the server parses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
"""A JSON object as in JSONL data sets: `_id` (or `id`), `title`, `text`; every other field is metadata."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id. `version` orders events of one id; none: the time of acceptance. `content_type` says how to parse.

    `expires_at`: from when on it is to be deleted, such as 2030-01-31T00:00:00Z; none: never.
    """

    id: str
    text: str = field(repr=False)
    title: str = field(default="", repr=False)
    content_type: str = "text/plain"
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    groups: tuple[str, ...] = ()
    version: int | None = None
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file to send as it is; it is read when its turn comes. `content_type` none: the server finds out."""

    id: str
    path: Path
    content_type: str | None = None
    title: str = field(default="", repr=False)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A record that is JSON already, and where it stands ("notes.jsonl:3"), to be named if it is refused."""

    data: bytes = field(repr=False)
    place: str


Item = Document | File | Line | Record
