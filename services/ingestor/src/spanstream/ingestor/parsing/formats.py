"""Which module parses which format."""

from __future__ import annotations

from importlib import import_module

from spanstream.ingestor.parsing.kinds import Kind, check
from spanstream.ingestor.parsing.parsed import Limits, Parsed

_MODULES = {
    Kind.TEXT: "text",
    Kind.MARKDOWN: "markdown",
    Kind.HTML: "html",
    Kind.PDF: "pdf",
    Kind.DOCX: "docx",
    Kind.JSON: "json_record",
}


def parse(kind: Kind, data: bytes, limits: Limits) -> Parsed:
    """Parse in this process; raises ParseError. Modules load on first use: a worker that sees no PDF needs no PDFium."""
    check(kind, data)
    module = import_module(f"spanstream.ingestor.parsing.{_MODULES[kind]}")
    parsed: Parsed = module.parse(data, limits)
    return parsed
