"""Small files of every format, good and bad, made when they are needed."""

from __future__ import annotations

import io
import zipfile

import docx
from reportlab.lib.pdfencrypt import StandardEncryption  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with a line of text per page."""
    file = io.BytesIO()
    canvas = Canvas(file, encrypt=StandardEncryption(password) if password else None)
    canvas.setTitle("On bees")
    for page in pages:
        canvas.drawString(72, 700, page)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def word(title: str = "On bees", heading: str = "Dances") -> bytes:
    """A DOCX with a heading (if it is not empty), a paragraph, a list and a table."""
    document = docx.Document()
    document.core_properties.title = title
    if heading:
        document.add_heading(heading, 1)
    document.add_paragraph("Bees dance.")
    document.add_paragraph("in circles", style="List Bullet")
    document.add_paragraph("in eights", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "round", "near"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def bare_word() -> bytes:
    """A DOCX of the parts that one must have, hence without styles, numbering, settings and properties."""
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    words = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    heading = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Dances</w:t></w:r></w:p>'
    cell = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>round</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    body = f"{heading}<w:p><w:r><w:t>Bees dance.</w:t></w:r></w:p>{cell}"
    entries = {
        "[Content_Types].xml": f"""<Types xmlns="{package}/content-types">
            <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
            <Override PartName="/word/document.xml" ContentType="{main}"/></Types>""",
        "_rels/.rels": f"""<Relationships xmlns="{package}/relationships">
            <Relationship Id="rId1" Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>""",
        "word/document.xml": f'<w:document xmlns:w="{words}"><w:body>{body}</w:body></w:document>',
    }
    return archive(**{name: text.encode() for name, text in entries.items()})


def archive(**entries: bytes) -> bytes:
    """A ZIP; `__` stands for '/', so that names fit keywords."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries.items():
            out.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def bomb(unpacked: int) -> bytes:
    """A DOCX whose document is so many zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("[Content_Types].xml", "<Types/>")
        with out.open("word/document.xml", "w") as entry:
            for _ in range(unpacked // 2**20):
                entry.write(b"\0" * 2**20)
    return file.getvalue()


def encrypted_office() -> bytes:
    """The outside of a password-protected DOCX: an OLE container that names its content."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 512
