"""Small files of every format to begin with, good ones and bad ones, and the tokens that their formats are made of."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO

from reportlab import rl_config  # type: ignore[import-untyped]

from spanstream.ingestor.parsing.kinds import Kind
from tests.unit.ingestor import files

_SENTENCES = "Bees dance to tell the others where the flowers are, and how far it is. "
_HTML = (
    "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>On bees</title><style>p{color:red}</style></head><body>"
    f"<nav><a href='/'>Home</a></nav><article><h1>Dances</h1><p>{_SENTENCES * 6}</p><ul><li>round<li>waggle</ul><table><tr><td>"
    f"near<td>round</tr></table><p hidden>{_SENTENCES * 5}</p><pre>x = 1\n</pre></article><script>alert(1)</script></body></html>"
)
_MARKDOWN = (
    '---\ntitle: "On bees"\ntags: [a, b]\n---\n# Dances\n\nThey *dance* [well](http://x "y") `so`.\n\n- one\n  1. two\n\n> said\n\n'
    "| a | b |\n|---|---|\n| c | d |\n\n```py\nx = 1\n```\n\n<div>inside</div>\n\n![p](data:x) ~~gone~~ &amp; \\* [^1]\n\n[^1]: n\n"
)
_RECORDS = [{"id": str(n), "text": _SENTENCES, "title": "Bees", "metadata": {"year": 1900 + n}} for n in range(4)]


def _nested() -> bytes:
    inner = files.word()
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
        out.writestr("inner.docx", inner)
        out.writestr("../outside.txt", "x")
    return file.getvalue()


def _undated(data: bytes) -> bytes:
    """The archive as it would be whenever it was made."""
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for entry in archive.infolist():
            out.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def seeds() -> Mapping[Kind, Sequence[bytes]]:
    """By the type that they are sent as; the same bytes whenever they are made."""
    rl_config.invariant = 1  # no dates and no random ids in PDFs
    archives = [files.word(), files.word(heading=""), files.bomb(2**20), _nested()]
    return {
        Kind.PDF: [files.pdf("Bees dance.", "They tell."), files.pdf("x" * 3000), files.pdf("a", password="b")],
        Kind.DOCX: [*map(_undated, archives), files.encrypted_office()],
        Kind.HTML: [_HTML.encode(), b"<p>Bees <b>dance</b><br>well", "<p>Größe".encode("cp1252")],
        Kind.MARKDOWN: [_MARKDOWN.encode(), _MARKDOWN.encode() * 200],  # the second is long enough for the sandbox
        Kind.TEXT: [
            _SENTENCES.encode() * 3,
            "Größere Bären hören. ".encode("utf-16"),
            "蜜蜂跳舞。".encode("gb18030") * 9,
        ],
        Kind.JSON: [json.dumps(_RECORDS).encode(), json.dumps(_RECORDS[0]).encode()],
    }


def records() -> Sequence[bytes]:
    """Files of a record a line, which go through the batch route."""
    return ["\n".join(map(json.dumps, _RECORDS)).encode()]


TOKENS: Mapping[Kind, Sequence[bytes]] = {
    Kind.PDF: [
        b"/Length 999999999", b"/Filter[/FlateDecode/FlateDecode/LZWDecode]", b"endobj", b"1 0 obj<</Parent 1 0 R>>", b"/Kids[1 0 R 1 0 R]",
        b"stream\n", b"endstream", b"/Count 2147483647", b"/Encrypt 9 0 R", b"/JavaScript(app.alert(1))", b"startxref\n9\n", b"<<" * 300,
        b"/Prev 0", b"[" * 500, b"BT 1e38 Tf (x) Tj ET", b"/W[8 8 8]", b"%PDF-1.7\n",
    ],
    Kind.DOCX: [
        b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\xff\xff\xff\xff", b"../../etc/passwd", b"<w:p>" * 50, b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
        b"word/document.xml", b"\x00" * 16, b"[Content_Types].xml", b"&a;", b'<w:altChunk r:id="x"/>', b'Target="http://127.0.0.1/"',
    ],
    Kind.HTML: [
        b"<div>" * 300, b"<!--", b"-->", b"<![CDATA[", b"<script>", b"</", b"<svg><foreignObject>", b"&#x110000;", b"&#0;", b"<meta charset=utf-7>",
        b"<table><tr><td>" * 60, b"<p " + b"a=b " * 200, b"<base href=//x>", b"\x00", b"<xmp>", b"<frameset>", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
    ],
    Kind.MARKDOWN: [b"[" * 300, b"> " * 200, b"*" * 300, b"`" * 99, b"| " * 200, b"---\n", b"<a " * 99, b"\\" * 99, b"- " * 200, b"[a]: b\n", b"\x00"],
    Kind.TEXT: [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xcc\x81" * 300, b"\xf0\x9f\x8f\xbd", b"\x80", b"\x1b[2J", b"\xed\xa0\x80"],
    Kind.JSON: [b"[" * 500, b'{"a":' * 300, b"1e999", b"NaN", b'"\\ud800"', b'"text":', b"-", b"\\u0000", b"9" * 400, b"null", b"\xff"],
}  # fmt: skip
