"""PDF: the text layer, page by page, through PDFium. No scripts run, no pictures are decoded."""

from __future__ import annotations

import re

import pypdfium2
from pypdfium2 import raw

from spanstream.events.v1.failure_pb2 import REASON_ENCRYPTED, REASON_PARSE_FAILED, REASON_PARSE_LIMIT
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, release

_HYPHEN = re.compile("[\x02\ufffe]\\s*")  # how PDFium marks a hyphen at a line's end


def parse(data: bytes, limits: Limits) -> Parsed:
    """Pages, an empty line between them. Raises ParseError ENCRYPTED, PARSE_FAILED or PARSE_LIMIT.

    A page that cannot be read is left out, and `parser` then ends in " partial"; none readable is PARSE_FAILED.
    """
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise ParseError(REASON_ENCRYPTED, "the PDF needs a password") from error
        raise ParseError(REASON_PARSE_FAILED, "the PDF is damaged") from error
    if len(document) > limits.pages:
        raise ParseError(REASON_PARSE_LIMIT, f"{len(document)} pages, more than {limits.pages}")
    pages, unread, characters = [], 0, 0
    for number in range(len(document)):
        try:
            page = document[number]
            pages.append(_HYPHEN.sub("", page.get_textpage().get_text_bounded().replace("\r\n", "\n")).strip())
            page.close()
        except pypdfium2.PdfiumError:
            unread += 1
            continue
        characters += len(pages[-1])
        if characters > limits.text_characters:
            raise ParseError(REASON_PARSE_LIMIT, f"more than {limits.text_characters} characters of text")
    if not pages:
        raise ParseError(REASON_PARSE_FAILED, "no page of the PDF can be read")
    title = document.get_metadata_dict(skip_empty=True).get("Title", "").strip()
    return Parsed("\n\n".join(filter(None, pages)), title, release("pypdfium2") + (" partial" if unread else ""))
