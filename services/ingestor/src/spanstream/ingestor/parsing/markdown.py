"""Markdown to readable text: headings, lists, code and tables keep their lines; marks and link targets go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from spanstream.events.v1.failure_pb2 import REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import text as plain
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, release

_TAG = re.compile(r"<[^<>]*>")
_LEVELS = 100  # quotes and lists within each other
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?P<fields>(?:(?!---[ \t]*\n).*\n)*?)---[ \t]*(?:\n|\Z)")
_FRONT_TITLE = re.compile(r"^title:[ \t]*(?P<title>.+)$", re.MULTILINE)


def parse(data: bytes, limits: Limits) -> Parsed:
    """Blocks, an empty line between them. The title is the front matter's, else the first first-level heading.

    Raises ParseError PARSE_LIMIT.
    """
    text, _ = plain.decode(data)
    text = text.replace("\r\n", "\n")
    title = ""
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        if named := _FRONT_TITLE.search(front["fields"]):
            title = named["title"].strip().strip("\"'")
    tokens = MarkdownIt("commonmark", {"maxNesting": _LEVELS}).enable(["table", "strikethrough"]).parse(text)
    if any(token.level + token.nesting >= _LEVELS for token in tokens):  # what is deeper was left out
        raise ParseError(REASON_PARSE_LIMIT, f"blocks are nested more than {_LEVELS} levels deep")
    if not title:
        headings = (i + 1 for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1")
        first = next(headings, None)
        title = _inline(tokens[first].children or []) if first is not None else ""
    return Parsed("".join(_lines(tokens)).strip("\n"), title, release("markdown-it-py"))


def _lines(tokens: Sequence[Token]) -> Iterator[str]:
    """Lines with their ends. `lists` holds, per open list, the next number (None for bullets)."""
    lists: list[int | None] = []
    marker = ""
    for token in tokens:
        indent = "  " * max(0, len(lists) - 1)
        match token.type:
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_open":
                lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                if not lists:
                    yield "\n"
            case "list_item_open":
                number = lists[-1]
                marker = "- " if number is None else f"{number}. "
                lists[-1] = None if number is None else number + 1
            case "inline":
                body = _inline(token.children or [])
                yield f"{indent}{marker}{body}" if lists else body
                marker = ""
            case "heading_close" | "paragraph_close":
                yield "\n" if lists else "\n\n"
            case "th_close" | "td_close":
                yield " | "
            case "tr_close" | "table_close":
                yield "\n"
            case "fence" | "code_block":
                yield f"{token.content.rstrip(chr(10))}\n\n"
            case "html_block":
                yield f"{_TAG.sub('', token.content).strip()}\n\n"


def _inline(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        match token.type:
            case "text" | "code_inline" | "image":  # an image's content is its alternative text
                parts.append(token.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
    return "".join(parts)
