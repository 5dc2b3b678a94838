"""DOCX: paragraphs, lists and tables in order, through python-docx; the archive is judged before it is opened."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import cache

import docx
from docx.document import Document
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.exceptions import PackageNotFoundError
from docx.opc.packuri import PackURI
from docx.parts.styles import StylesPart
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml import etree

from spanstream.events.v1.failure_pb2 import (
    REASON_ENCRYPTED,
    REASON_PARSE_FAILED,
    REASON_PARSE_LIMIT,
    REASON_TYPE_UNSUPPORTED,
)
from spanstream.ingestor.parsing.kinds import OLE
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, release

_RATIO_APPLIES_FROM = 2**20  # bytes unpacked; a small file may well be all zeros
_ENCRYPTED_FLAG = 0x1
_NO_TITLES = ("", "Word Document")  # what python-docx puts into a document that has none


def parse(data: bytes, limits: Limits) -> Parsed:
    """Text and the core title, else the first heading. Raises ParseError ENCRYPTED, PARSE_FAILED, PARSE_LIMIT or TYPE_UNSUPPORTED."""
    if data.startswith(OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise ParseError(REASON_ENCRYPTED, "the document needs a password")
        raise ParseError(REASON_TYPE_UNSUPPORTED, "an Office file of the old binary kind, not DOCX")
    _judge(data, limits)
    try:
        document = docx.Document(io.BytesIO(data))
        _complete(document)
        parts, characters = [], 0
        for part in _blocks(document):
            parts.append(part)
            characters += len(part)
            if characters > limits.text_characters:
                raise ParseError(REASON_PARSE_LIMIT, f"more than {limits.text_characters} characters of text")
        title = (document.core_properties.title or "").strip()
        if title in _NO_TITLES:
            title = _heading(document)
    except (
        PackageNotFoundError,
        zipfile.BadZipFile,
        etree.XMLSyntaxError,
        KeyError,
        ValueError,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise ParseError(REASON_PARSE_FAILED, "the DOCX is damaged") from error
    return Parsed("\n".join(parts).strip("\n"), title, release("python-docx"))


def _judge(data: bytes, limits: Limits) -> None:
    """Refuse by the archive's directory alone. Unpacking later cannot exceed what the directory states."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ParseError(REASON_PARSE_FAILED, "the archive is damaged") from error
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > limits.archive_entries:
        raise ParseError(REASON_PARSE_LIMIT, f"{len(entries)} entries, more than {limits.archive_entries}")
    if unpacked > limits.uncompressed_bytes:
        raise ParseError(REASON_PARSE_LIMIT, f"{unpacked} bytes unpacked, more than {limits.uncompressed_bytes}")
    if unpacked > _RATIO_APPLIES_FROM and unpacked > limits.compression_ratio * len(data):
        raise ParseError(REASON_PARSE_LIMIT, f"packed more than {limits.compression_ratio} times")
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise ParseError(REASON_ENCRYPTED, "the archive needs a password")
    names = {entry.filename for entry in entries}
    if any(name.startswith("/") or ".." in name.split("/") for name in names):
        raise ParseError(REASON_PARSE_FAILED, "an entry's name leads outside the archive")
    if not {"[Content_Types].xml", "word/document.xml"} <= names:
        raise ParseError(REASON_TYPE_UNSUPPORTED, "an archive, but not a DOCX")


def _complete(document: Document) -> None:
    """Give it styles if it has none. python-docx would read its own from the disk, which a confined process cannot; of
    the other parts that it would make up, none is looked at here.
    """
    part = document.part
    try:
        part.part_related_by(RELATIONSHIP_TYPE.STYLES)
    except KeyError:
        name = PackURI("/word/styles.xml")
        styles = StylesPart.load(name, CONTENT_TYPE.WML_STYLES, _default_styles(), part.package)
        part.relate_to(styles, RELATIONSHIP_TYPE.STYLES)


@cache
def _default_styles() -> bytes:
    """Of python-docx, read once: `warming` asks for them."""
    styles: bytes = docx.Document().part.part_related_by(RELATIONSHIP_TYPE.STYLES).blob
    return styles


def _blocks(document: Document) -> Iterator[str]:
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            yield from _rows(item)
            yield ""
        elif text := item.text.strip():
            yield f"- {text}" if _styled(item, "List") else text
            if not _styled(item, "List"):
                yield ""


def _heading(document: Document) -> str:
    """The first title or heading in the body; empty if there is none."""
    headings = (paragraph.text.strip() for paragraph in document.paragraphs if _styled(paragraph, "Title", "Heading"))
    return next(filter(None, headings), "")


def _rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        yield " | ".join(cell.text.strip().replace("\n", " ") for cell in row.cells)


def _styled(paragraph: Paragraph, *names: str) -> bool:
    return paragraph.style is not None and (paragraph.style.name or "").startswith(names)
