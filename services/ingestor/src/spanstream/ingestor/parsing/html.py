"""HTML: the main content through trafilatura; where it finds next to nothing, all visible text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import trafilatura
from lxml import etree
from lxml import html as lxml_html

from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED, REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import text as plain
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, release

# trafilatura looks for articles; below this many characters it falls back to rules that tear sentences apart.
_MIN_MAIN_CHARACTERS = 250
# Larger trees are read without searching for the main content, which takes 35 us an element, and more with depth.
_DEPTH, _ELEMENTS = 200, 50_000
_INVISIBLE = frozenset({"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"})
_MARGIN = frozenset({"nav", "footer", "aside"})
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def parse(data: bytes, limits: Limits) -> Parsed:
    """Readable text and the <title>. Raises ParseError: PARSE_FAILED where there is no element at all, PARSE_LIMIT."""
    source, _ = plain.decode(data)
    # A fresh parser: no network, no entities beyond HTML's own. Its bounds are the process's, and 2,048 levels instead of
    # 256, which pages with tags that nobody closed exceed.
    parser = lxml_html.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        tree = lxml_html.document_fromstring(_DECLARATION.sub("", source), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise ParseError(REASON_PARSE_FAILED, "no HTML element could be read") from error
    if any("Excessive depth" in entry.message for entry in parser.error_log):  # it left out all that follows
        raise ParseError(REASON_PARSE_LIMIT, "elements are nested too deep")
    title = _SPACES.sub(" ", tree.findtext(".//title") or "").strip()
    visible, depth, elements = _visible(tree)
    main = ""
    if depth <= _DEPTH and elements <= _ELEMENTS and len(visible) >= _MIN_MAIN_CHARACTERS:
        main = trafilatura.extract(source, include_comments=False, include_tables=True) or ""
    if len(main) >= _MIN_MAIN_CHARACTERS:
        return Parsed(main, title, release("trafilatura"))
    return Parsed(visible, title, release("lxml"))


def _visible(tree: lxml_html.HtmlElement) -> tuple[str, int, int]:
    """All visible text outside margins, a line per block; depth and elements of the tree. Linear, without recursion."""
    parts: list[str] = []
    depth = deepest = elements = hidden = preformatted = 0
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        tag = element.tag
        outside = tag in _INVISIBLE or tag in _MARGIN
        if event == "start":
            depth += 1
            elements += 1
            deepest = max(deepest, depth)
            hidden += outside
            preformatted += tag == "pre"
            if tag in _BLOCKS or tag == "br":
                parts.append("\n")
            if tag == "li":
                parts.append("- ")
            following = element.text
        else:
            depth -= 1
            hidden -= outside
            preformatted -= tag == "pre"
            if tag in _BLOCKS:
                parts.append("\n")
            elif tag in ("td", "th"):
                parts.append(" | ")
            following = element.tail
        if following and not hidden:
            if not preformatted:
                following = _SPACES.sub(" ", following)
                following = following.lstrip(" ") if not parts or parts[-1].endswith("\n") else following
            parts.append(following)
    return "\n".join(_tidy("".join(parts))), deepest, elements


def _tidy(text: str) -> Iterator[str]:
    """Lines that hold something, without their last cell border."""
    for line in text.split("\n"):
        shown = line.rstrip().removesuffix(" |")
        if shown.strip():
            yield shown
