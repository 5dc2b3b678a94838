"""Files made to harm whoever reads them: bombs, cycles, entities, links and scripts (reliability.md, rows B3 to B15)."""

from __future__ import annotations

import io
import socket
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.events.v1.failure_pb2 import (
    REASON_ENCRYPTED,
    REASON_HANDLER_CRASH,
    REASON_PARSE_FAILED,
    REASON_PARSE_LIMIT,
    REASON_TYPE_UNSUPPORTED,
    Reason,
)
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.parsing.formats import parse
from spanstream.ingestor.parsing.kinds import Kind, by_file_name, by_media_type
from spanstream.ingestor.parsing.parsed import Limits, ParseError
from spanstream.ingestor.parsing.sandbox import Sandbox
from spanstream.ingestor.segmentation import passages
from tests.unit.ingestor import files

LIMITS = Limits()
BODY = "word/document.xml"


def outcome(kind: Kind, data: bytes) -> str | Reason:
    try:
        return parse(kind, data, LIMITS).text
    except ParseError as error:
        return error.reason


def word(**changes: bytes) -> bytes:
    """A DOCX of which some entries hold something else; `__` stands for '/'."""
    file = io.BytesIO()
    entries = {name.replace("__", "/"): data for name, data in changes.items()}
    with zipfile.ZipFile(io.BytesIO(files.word())) as archive, zipfile.ZipFile(file, "w") as out:
        for name in archive.namelist():
            out.writestr(name, entries.pop(name, archive.read(name)))
        for name, data in entries.items():
            out.writestr(name, data)
    return file.getvalue()


def document_xml(text: str, doctype: str = "") -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return f'{doctype}<w:document xmlns:w="{space}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'.encode()


def pdf(content: bytes, filters: str = "", more: bytes = b"", page: str = "") -> bytes:
    """A PDF of one page with this content stream."""
    stream = b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), filters.encode(), content)
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>%s>>" % page.encode(),
        stream,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *([more] if more else []),
    ]  # fmt: skip
    objects = b"".join(b"%d 0 obj%s endobj\n" % (number, body) for number, body in enumerate(bodies, 1))
    return b"%PDF-1.7\n" + objects + b"trailer<</Root 1 0 R>>\n%%EOF"


WRITING = b"BT /F 12 Tf 72 700 Td (Bees dance.) Tj ET "


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that whoever follows a link in a document would meet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def nobody_came(server: socket.socket) -> bool:
    try:
        server.accept()
    except BlockingIOError:
        return True
    return False


# --- Archives --------------------------------------------------------------------------------------------------------


def test_an_archive_that_understates_what_is_in_it_is_never_unpacked_beyond_that() -> None:
    data = bytearray(files.bomb(100 * 2**20))
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(BODY.encode()))
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # the directory's word for the unpacked size
    assert outcome(Kind.DOCX, bytes(data)) == REASON_PARSE_FAILED


def test_entries_that_overlap_count_each_for_itself() -> None:
    """One megabyte that is packed once and listed two hundred times, and more."""
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("[Content_Types].xml", "<Types/>")
        out.writestr(BODY, b"\0" * 2**20)
        out.filelist += [out.filelist[-1]] * 300
    assert outcome(Kind.DOCX, file.getvalue()) == REASON_PARSE_LIMIT


def test_an_archive_within_an_archive_is_not_opened() -> None:
    assert outcome(Kind.DOCX, word(inner__bomb=files.bomb(2**20))) == outcome(Kind.DOCX, files.word())


def test_links_and_devices_in_an_archive_are_entries_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(file := io.BytesIO(files.word()), "a") as out:
        for name, kind in (("link", 0o120777), ("device", 0o020666)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = kind << 16
            out.writestr(entry, "/etc/passwd")
    assert outcome(Kind.DOCX, file.getvalue()) == outcome(Kind.DOCX, files.word())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "..\\outside", "C:\\outside"])
def test_names_that_lead_outside_leave_nothing_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(Kind.DOCX, word(**{name.replace("/", "__"): b"x"})) in (
        REASON_PARSE_FAILED,
        outcome(Kind.DOCX, files.word()),
    )
    assert list(tmp_path.iterdir()) == []


def test_a_password_of_an_archive_is_told() -> None:
    data = bytearray(files.word())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(sign)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(sign, at + 4)
    assert outcome(Kind.DOCX, bytes(data)) == REASON_ENCRYPTED


# --- XML -------------------------------------------------------------------------------------------------------------


def test_entities_are_not_expanded() -> None:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    laughs = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "laugh">{lines}]>'
    found = outcome(Kind.DOCX, word(**{BODY: document_xml("&l9;", laughs)}))
    assert found in (REASON_PARSE_FAILED, REASON_PARSE_LIMIT) or "laugh" not in str(found)


@pytest.mark.parametrize("external", ['SYSTEM "file://{path}"', 'PUBLIC "a" "http://127.0.0.1:{port}/x"'])
def test_nothing_outside_is_read(external: str, tmp_path: Path, listening: socket.socket) -> None:
    (tmp_path / "secret").write_text("Zithers")
    wanted = external.format(path=tmp_path / "secret", port=listening.getsockname()[1])
    doctype = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e {wanted}><!ENTITY % p {wanted}> %p;]>'
    assert "Zithers" not in str(outcome(Kind.DOCX, word(**{BODY: document_xml("&e;", doctype)})))
    page = f"{doctype}<p>&e;<p>Bees dance.<xi:include href='file://{tmp_path}/secret' parse='text'/>"
    assert "Zithers" not in str(outcome(Kind.HTML, page.encode()))
    assert nobody_came(listening)


# --- What documents carry --------------------------------------------------------------------------------------------


def test_macros_templates_and_links_are_neither_run_nor_followed(listening: socket.socket) -> None:
    there = f"http://127.0.0.1:{listening.getsockname()[1]}/template.dotm"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{kind}" Target="{there}" TargetMode="External"/></Relationships>'
    )
    changed = word(**{"word/vbaProject.bin": b"macro", "word/_rels/settings.xml.rels": relations.encode()})
    assert outcome(Kind.DOCX, changed) == outcome(Kind.DOCX, files.word())
    acting = f"/OpenAction<</S/JavaScript/JS(app.launchURL('{there}'))>>/AA<</O<</S/URI/URI({there})>>>>"
    assert outcome(Kind.PDF, pdf(WRITING, page=acting)) == "Bees dance."
    page = (
        f"<meta http-equiv=refresh content='0;url={there}'><link rel=stylesheet href={there}><img src={there}>"
        f"<script src={there}></script><iframe src={there}></iframe><p>Bees dance."
    )
    assert outcome(Kind.HTML, page.encode()) == "Bees dance."
    assert nobody_came(listening)


def test_invisible_and_off_page_text_of_a_pdf_is_text() -> None:
    hidden = b"BT /F 12 Tf 3 Tr 72 600 Td (Invisible.) Tj ET BT /F 12 Tf 0 Tr 9000 9000 Td (Outside.) Tj ET"
    assert "Invisible." in str(outcome(Kind.PDF, pdf(WRITING + hidden)))


def test_formulas_are_text() -> None:
    row = b'name,note\nada,"=HYPERLINK(""http://x"",""y"")"\n'
    kind = by_file_name("a.csv")
    assert kind is Kind.TEXT
    assert outcome(kind, row) == row.decode()


@pytest.mark.parametrize(
    "media_type", ["message/rfc822", "application/x-python-pickle", "application/zip", "image/svg+xml"]
)
def test_other_types_are_not_read_at_all(media_type: str) -> None:
    assert by_media_type(media_type) is None


# --- PDFs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pdf(WRITING, more=b"<</Type/Pages/Kids[6 0 R 2 0 R]/Count 2147483647/Parent 6 0 R>>"),
        pdf(WRITING).replace(b"/Kids[3 0 R]", b"/Kids[2 0 R 2 0 R 3 0 R]"),
        pdf(WRITING).replace(b"/Contents 4 0 R", b"/Contents[" + b"4 0 R " * 5000 + b"]"),
        pdf(WRITING + b"/X Do ", more=b"<</Subtype/Image/Width 100000/Height 10000/BitsPerComponent 8/ColorSpace/DeviceRGB/Length 0>>stream\n\nendstream")
        .replace(b"/Font<</F 5 0 R>>", b"/Font<</F 5 0 R>>/XObject<</X 6 0 R>>"),
        pdf(WRITING) + pdf(b"BT /F 12 Tf (They tell.) Tj ET"),
        pdf(b"q " * 50_000 + WRITING),
    ],
    ids=["count", "cycle", "repeated", "image", "two glued", "nested states"],
)  # fmt: skip
def test_a_pdf_that_is_bent_is_read_or_refused(data: bytes) -> None:
    found = outcome(Kind.PDF, data)
    assert (
        found in (REASON_PARSE_FAILED, REASON_PARSE_LIMIT) or "Bees dance." in str(found) or "They tell." in str(found)
    )


def test_filters_within_filters_cost_no_more_than_the_limits() -> None:
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(b" " * 2**20) for _ in range(256)) + packer.flush()
    bomb = pdf(zlib.compress(once), "/Filter[/FlateDecode/FlateDecode]")
    sandbox = Sandbox(Limits(seconds=20))
    try:
        assert tried(sandbox, bomb) in ("", REASON_PARSE_LIMIT, REASON_HANDLER_CRASH, REASON_PARSE_FAILED)
        assert tried(sandbox, pdf(WRITING)) == "Bees dance."
    finally:
        sandbox.close()


def tried(sandbox: Sandbox, data: bytes) -> str | Reason:
    try:
        return sandbox.parse(Kind.PDF, data).text
    except ParseError as error:
        return error.reason


# --- Text ------------------------------------------------------------------------------------------------------------


def test_marks_and_characters_that_turn_the_line_keep_their_offsets() -> None:
    text = normalise("Bees\u202e dance\u2066 \u200b" + "e" + "\u0301" * 50_000 + " far. They tell.\ufeff")
    found = passages(text, 1000, 64)
    assert "".join(text[each.start : each.end] for each in found).replace(" ", "") == text.replace(" ", "")
    assert all(0 <= start <= end <= len(text) for each in found for start, end in each.spans)


def test_words_without_an_end_are_cut() -> None:
    text = "x" * 10**6
    found = passages(text, 1000, 64)
    assert [found[0].start, found[-1].end] == [0, len(text)]
    assert max(each.end - each.start for each in found) <= 1000


@pytest.mark.parametrize("kind", [Kind.PDF, Kind.DOCX, Kind.HTML, Kind.MARKDOWN, Kind.TEXT])
def test_a_pickle_is_no_document(kind: Kind) -> None:
    assert outcome(kind, b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.") == REASON_TYPE_UNSUPPORTED
