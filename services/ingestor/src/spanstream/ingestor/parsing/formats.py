"""Which module parses which format."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED, REASON_PARSE_LIMIT
from spanstream.ingestor.parsing.kinds import Kind, check
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError

_MODULES = {
    Kind.TEXT: "text",
    Kind.MARKDOWN: "markdown",
    Kind.HTML: "html",
    Kind.PDF: "pdf",
    Kind.DOCX: "docx",
    Kind.JSON: "json_record",
}


def parse(kind: Kind, data: bytes, limits: Limits) -> Parsed:
    """Parse in this process; raises ParseError. A module that `load` has not imported yet is imported on first use."""
    check(kind, data)
    module = _module(kind)
    try:
        parsed: Parsed = module.parse(data, limits)
    except (ParseError, MemoryError):
        raise
    except RecursionError as error:
        raise ParseError(REASON_PARSE_LIMIT, "the document is nested too deeply to be read") from error
    except Exception as error:  # a fault of a third-party parser must cost this document only
        raise ParseError(REASON_PARSE_FAILED, f"the parser failed: {type(error).__name__}") from error
    return parsed


def load() -> None:
    """Import every parser now, so that no document pays for it."""
    for kind in _MODULES:
        _module(kind)


def _module(kind: Kind) -> ModuleType:
    return import_module(f"spanstream.ingestor.parsing.{_MODULES[kind]}")
