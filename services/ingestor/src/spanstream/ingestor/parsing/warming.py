"""Everything that parsers read from the disk, read before they may read nothing more: modules, codecs, data."""

from __future__ import annotations

import codecs
import encodings
import io
import pkgutil
from contextlib import suppress

import docx
from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE

from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, ParseError, release

_PARAGRAPHS = "".join(f"<p>Sentence {n} is long enough to be taken for what a page is about.</p>" for n in range(20))
# What `Parsed.parser` names.
_NAMED = ("charset-normalizer", "lxml", "markdown-it-py", "pypdfium2", "python-docx", "trafilatura")
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
    b"4 0 obj<</Length 27>>stream\nBT /F 9 Tf (A word.) Tj ET \nendstream endobj\n"
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
)


def warm(limits: Limits) -> None:
    """Read a small document of every kind, well-formed and not."""
    for module in pkgutil.iter_modules(encodings.__path__):  # its aliases do not name all of them: not utf_8_sig
        with suppress(LookupError, ImportError):  # some are of other systems
            codecs.lookup(module.name)
    formats.load()
    for package in _NAMED:
        release(package)
    for kind, data in (
        (Kind.TEXT, "Fünf Bären hören süße Töne über den Flüssen. ".encode("cp1252") * 20),
        (Kind.TEXT, b"\x89PNG\r\n\x1a\n\x00"),
        (Kind.MARKDOWN, b"---\ntitle: a\n---\n# a\n\n- b\n\n| a |\n|---|\n| b |\n"),
        (Kind.HTML, f"<title>a</title><body><article><h1>a</h1>{_PARAGRAPHS}</article></body>".encode()),
        (Kind.HTML, b"<p>a"),
        (Kind.JSON, b'{"text": "a"}'),
        (Kind.PDF, _PDF),
        (Kind.PDF, b"%PDF-1.7\n"),
        (Kind.DOCX, _docx()),
        (Kind.DOCX, _docx_without_styles()),
        (Kind.DOCX, b"PK\x05\x06" + bytes(18)),
    ):
        with suppress(ParseError):
            formats.parse(kind, data, limits)


def _docx() -> bytes:
    document = docx.Document()
    document.add_heading("a", 1)
    document.add_paragraph("b", style="List Bullet")
    document.add_table(1, 1).cell(0, 0).text = "c"
    return _saved(document)


def _docx_without_styles() -> bytes:
    document = docx.Document()
    document.add_paragraph("a")
    part = document.part
    part.drop_rel(part.relate_to(part.part_related_by(RELATIONSHIP_TYPE.STYLES), RELATIONSHIP_TYPE.STYLES))
    return _saved(document)


def _saved(document: Document) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()
