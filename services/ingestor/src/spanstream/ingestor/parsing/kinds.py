"""Which format bytes are in: what is declared, what a file name suggests, and whether the content agrees."""

from __future__ import annotations

from enum import StrEnum

import puremagic

from spanstream.events.v1.failure_pb2 import REASON_TYPE_UNSUPPORTED
from spanstream.ingestor.parsing.parsed import ParseError


class Kind(StrEnum):
    """The formats that can be parsed, by media type."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    JSON = "application/json"


TEXT_KINDS = frozenset({Kind.TEXT, Kind.MARKDOWN, Kind.HTML})
_ALIASES = {"text/x-markdown": Kind.MARKDOWN, "application/xhtml+xml": Kind.HTML, "application/x-pdf": Kind.PDF}
_EXTENSIONS = {
    "txt": Kind.TEXT,
    "text": Kind.TEXT,
    "log": Kind.TEXT,
    "rst": Kind.TEXT,
    "csv": Kind.TEXT,
    "tsv": Kind.TEXT,
    "md": Kind.MARKDOWN,
    "markdown": Kind.MARKDOWN,
    "html": Kind.HTML,
    "htm": Kind.HTML,
    "xhtml": Kind.HTML,
    "pdf": Kind.PDF,
    "docx": Kind.DOCX,
    "json": Kind.JSON,
}
_RECORDS = frozenset({"application/jsonl", "application/x-ndjson", "application/x-jsonlines"})
_PDF_HEADER_WITHIN = 1024  # bytes; what readers accept before "%PDF-"


def bare(content_type: str) -> str:
    """A Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def by_media_type(content_type: str) -> Kind | None:
    """The format that a Content-Type names; any other `text/…` is plain text. None if it is not one of ours."""
    media_type = bare(content_type)
    if media_type in _ALIASES:
        return _ALIASES[media_type]
    try:
        return Kind(media_type)
    except ValueError:
        return Kind.TEXT if media_type.startswith("text/") else None


def by_file_name(name: str) -> Kind | None:
    """The format that a file name's extension names, or None."""
    return _EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None


def holds_records(content_type: str, name: str) -> bool:
    """Whether it is a file of many documents, a line each: those go through the batch route."""
    return bare(content_type) in _RECORDS or name.lower().endswith((".jsonl", ".ndjson"))


def check(kind: Kind, data: bytes) -> None:
    """Raise ParseError TYPE_UNSUPPORTED where the content is plainly not what it is declared to be."""
    if kind is Kind.PDF:
        lying = b"%PDF-" not in data[:_PDF_HEADER_WITHIN]
    elif kind is Kind.DOCX:
        lying = not data.startswith((b"PK\x03\x04", b"PK\x05\x06", OLE))  # an encrypted DOCX is an OLE container
    else:
        lying = data.startswith((b"%PDF-", b"PK\x03\x04", OLE))
    if lying:
        raise ParseError(REASON_TYPE_UNSUPPORTED, f"declared as {kind.value}, but {looks_like(data)}")


def looks_like(data: bytes) -> str:
    """For people: what the bytes look like."""
    try:
        matches = puremagic.magic_string(data[:4096])
    except (puremagic.PureError, ValueError):
        return "the content is of an unknown binary format"
    return f"the content looks like {matches[0].mime_type or matches[0].name}"


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
