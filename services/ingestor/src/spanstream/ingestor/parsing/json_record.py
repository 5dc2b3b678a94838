"""A JSON document: a record with `text` (and `title`), or any value, whose strings are its text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import orjson

from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError

PARSER = "json/1"


def parse(data: bytes, limits: Limits) -> Parsed:
    """The `text` of a record; else a line per string, "path: value". Raises ParseError PARSE_FAILED."""
    try:
        # It refuses NaN, lone surrogates, invalid UTF-8 and nesting above 1,024.
        value = orjson.loads(data.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise ParseError(REASON_PARSE_FAILED, f"not valid JSON, at line {error.lineno} column {error.colno}") from error
    title = value.get("title") if isinstance(value, dict) else None
    title = title if isinstance(title, str) else ""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return Parsed(value["text"], title, PARSER)
    return Parsed("\n".join(_strings(value)), title, PARSER)


def _strings(root: Any) -> Iterator[str]:
    # A stack of its own: nesting is bounded by the reader, not by Python's. Paths name the innermost key only,
    # else they would grow with the square of the nesting.
    stack = [("", root)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, str) and value.strip():
            yield f"{name}: {value}" if name else value
        elif isinstance(value, dict):
            stack.extend(reversed(list(value.items())))
        elif isinstance(value, list):
            stack.extend((name, item) for item in reversed(value))
