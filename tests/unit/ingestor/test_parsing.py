from __future__ import annotations

import random
import time
from contextlib import suppress

import pytest

from spanstream.events.v1.failure_pb2 import (
    REASON_ENCRYPTED,
    REASON_PARSE_FAILED,
    REASON_PARSE_LIMIT,
    REASON_TYPE_UNSUPPORTED,
    Reason,
)
from spanstream.ingestor.parsing.formats import parse
from spanstream.ingestor.parsing.kinds import Kind, by_file_name, by_media_type
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError
from tests.unit.ingestor import files

LIMITS = Limits()


def refusal(kind: Kind, data: bytes, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(ParseError) as caught:
        parse(kind, data, limits)
    return caught.value.reason


def outcome(kind: Kind, data: bytes) -> Reason | str:
    try:
        return read(kind, data).text
    except ParseError as error:
        return error.reason


def read(kind: Kind, data: bytes) -> Parsed:
    return parse(kind, data, LIMITS)


def test_text_keeps_every_character() -> None:
    assert read(Kind.TEXT, "Fünf  Bienen \n".encode()).text == "Fünf  Bienen \n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides_the_encoding(encoding: str) -> None:
    assert read(Kind.TEXT, "Fünf Bienen".encode(encoding)).text == "Fünf Bienen"


def test_another_encoding_is_detected_and_flagged() -> None:
    text = "Größere Bären hören süße Töne über den Flüssen. " * 20
    parsed = read(Kind.TEXT, text.encode("cp1252"))
    assert parsed.text == text
    assert "charset-normalizer" in parsed.parser


def test_a_false_byte_order_mark_is_a_failure() -> None:
    assert refusal(Kind.TEXT, b"\xff\xfeabc") == REASON_PARSE_FAILED


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.MARKDOWN, Kind.HTML])
@pytest.mark.parametrize(
    "data",
    [
        random.Random(1).randbytes(5000),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94.",
        files.pdf("x"),
        files.archive(a=b"x"),
    ],
    ids=["random", "png", "pickle", "pdf", "zip"],
)
def test_binary_posing_as_text_is_unsupported(kind: Kind, data: bytes) -> None:
    assert refusal(kind, data) == REASON_TYPE_UNSUPPORTED


@pytest.mark.parametrize("kind", [Kind.PDF, Kind.DOCX])
def test_text_posing_as_binary_is_unsupported(kind: Kind) -> None:
    assert refusal(kind, b"Bees dance.") == REASON_TYPE_UNSUPPORTED


def test_markdown_keeps_headings_lists_code_and_tables() -> None:
    source = (
        b"# On *bees*\n\nThey [dance](http://x)\nwell.\n\n- one\n- two\n  - three\n\n3. third\n4. fourth\n\n"
        b"```py\nx = 1\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n> said `so`\n\n<div>inside</div>\n"
    )
    parsed = read(Kind.MARKDOWN, source)
    assert parsed.title == "On bees"
    assert parsed.text == (
        "On bees\n\nThey dance well.\n\n- one\n- two\n  - three\n\n3. third\n4. fourth\n\n"
        "x = 1\n\na | b | \nc | d | \n\nsaid so\n\ninside"
    )


def test_markdown_front_matter_gives_the_title() -> None:
    parsed = read(Kind.MARKDOWN, b'---\ntitle: "On bees"\ntags: [a]\n---\nBody')
    assert (parsed.title, parsed.text) == ("On bees", "Body")


@pytest.mark.parametrize(
    "source", ["[" * 60_000, "> " * 30_000, "*a_" * 20_000, "`" * 60_000, "- " * 30_000, "<a" * 30_000]
)
def test_markdown_of_the_inline_size_is_read_in_seconds(source: str) -> None:
    began = time.thread_time()
    with suppress(ParseError):
        read(Kind.MARKDOWN, source.encode())
    assert time.thread_time() - began < 10


ARTICLE = "Bees dance to tell the others where the flowers are. " * 12


def test_html_main_content_is_found() -> None:
    source = (
        f"<html><head><title>On  bees</title></head><body><nav>Home About</nav><article><h1>Dances</h1><p>{ARTICLE}</p>"
        f"<p>{ARTICLE.replace('Bees', 'All bees')}</p></article><footer>Imprint</footer><script>alert(1)</script></body></html>"
    )
    parsed = read(Kind.HTML, source.encode())
    assert parsed.title == "On bees"
    assert parsed.text.lower().count("bees dance") == 24
    assert "alert" not in parsed.text
    assert "Home" not in parsed.text
    assert parsed.parser.startswith("trafilatura/")


def test_short_html_keeps_inline_text_together_and_margins_out() -> None:
    source = b"<body><nav>Home</nav><p>Bees <b>dance</b> well.</p><ul><li>one<li>two</ul><pre>x  =\n 1</pre><style>p{}</style>"
    parsed = read(Kind.HTML, source)
    assert parsed.text == "Bees dance well.\n- one\n- two\nx  =\n 1"
    assert parsed.parser.startswith("lxml/")


@pytest.mark.parametrize(
    "source",
    [
        "<div>" * 400 + "innermost pelican" + "</div>" * 400 + "<p>After words.</p>",
        "<font size=2>innermost pelican " * 300 + "<p>After words.</p>",
    ],
)
def test_html_is_read_to_its_end_however_badly_it_is_nested(source: str) -> None:
    parsed = read(Kind.HTML, f"<p>Outer words.</p>{source}".encode())
    assert "innermost pelican" in parsed.text
    assert parsed.text.endswith("After words.")


def test_what_is_nested_too_deep_to_read_is_refused_not_cut() -> None:
    assert refusal(Kind.HTML, b"<p>Outer.</p>" + b"<div>" * 200_000 + b"inner") == REASON_PARSE_LIMIT
    assert refusal(Kind.MARKDOWN, b"Outer.\n\n" + b">" * 200 + b" inner\n\nAfter.") == REASON_PARSE_LIMIT
    assert "inner" in read(Kind.MARKDOWN, b">" * 40 + b" inner").text


def test_html_without_an_element_fails() -> None:
    assert refusal(Kind.HTML, b"<!-- -->") == REASON_PARSE_FAILED


@pytest.mark.parametrize(
    "source", [b"<b>" * 300_000 + b"x", b"<p>x" * 200_000, b"<!DOCTYPE a [<!ENTITY b 'c'>]><p>&b;x"]
)
def test_hostile_html_is_read_in_linear_time(source: bytes) -> None:
    began = time.thread_time()
    try:
        parsed = read(Kind.HTML, source)
    except ParseError:
        parsed = None
    assert time.thread_time() - began < 20
    assert parsed is None or "ENTITY" not in parsed.text


def test_pdf_pages_and_title() -> None:
    parsed = read(Kind.PDF, files.pdf("Bees dance.", "They tell."))
    assert (parsed.text, parsed.title) == ("Bees dance.\n\nThey tell.", "On bees")


def test_encrypted_pdf() -> None:
    assert refusal(Kind.PDF, files.pdf("x", password="secret")) == REASON_ENCRYPTED


def test_pdf_cut_anywhere_fails_or_is_read_in_part() -> None:
    whole = files.pdf("Bees dance.", "They tell.")
    outcomes = {outcome(Kind.PDF, whole[: len(whole) * share // 100]) for share in range(1, 100, 3)}
    assert outcomes <= {REASON_PARSE_FAILED, REASON_TYPE_UNSUPPORTED, "Bees dance.", "They tell.", ""} | {
        "Bees dance.\n\nThey tell."
    }


def test_pdf_of_too_many_pages() -> None:
    assert refusal(Kind.PDF, files.pdf("a", "b", "c"), Limits(pages=2)) == REASON_PARSE_LIMIT


def test_docx_paragraphs_lists_tables_and_title() -> None:
    parsed = read(Kind.DOCX, files.word())
    assert parsed.title == "On bees"
    assert parsed.text == "Dances\n\nBees dance.\n\n- in circles\n- in eights\nround | near"


@pytest.mark.parametrize("title", ["", "Word Document"])
def test_docx_without_a_title_is_called_by_its_first_heading(title: str) -> None:
    assert read(Kind.DOCX, files.word(title)).title == "Dances"
    assert read(Kind.DOCX, files.word(title, heading="")).title == ""


def test_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = files.bomb(300 * 2**20)
    assert len(bomb) < 2**20
    began = time.thread_time()
    assert refusal(Kind.DOCX, bomb) == REASON_PARSE_LIMIT
    assert time.thread_time() - began < 1


def test_highly_packed_archive_below_the_total_is_refused() -> None:
    assert refusal(Kind.DOCX, files.bomb(20 * 2**20)) == REASON_PARSE_LIMIT


def test_archive_of_too_many_entries() -> None:
    entries = {f"e{i}": b"" for i in range(30)}
    assert refusal(Kind.DOCX, files.archive(**entries), Limits(archive_entries=20)) == REASON_PARSE_LIMIT


def test_docx_without_styles_is_read_with_those_of_word() -> None:
    parsed = read(Kind.DOCX, files.bare_word())
    assert (parsed.title, parsed.text) == ("Dances", "Dances\n\nBees dance.\n\nround")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (files.encrypted_office(), REASON_ENCRYPTED),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), REASON_TYPE_UNSUPPORTED),
        (files.archive(a=b"x"), REASON_TYPE_UNSUPPORTED),
        (files.archive(**{"..__evil": b"x"}), REASON_PARSE_FAILED),
        (files.word()[:2000], REASON_PARSE_FAILED),
        (files.archive(**{"[Content_Types].xml": b"<Types/>", "word__document.xml": b"<a"}), REASON_PARSE_FAILED),
    ],
    ids=["password", "old office", "zip", "traversal", "cut", "not xml"],
)
def test_bad_docx(data: bytes, reason: Reason) -> None:
    assert refusal(Kind.DOCX, data) == reason


def test_json_record() -> None:
    parsed = read(Kind.JSON, b'{"title": "On bees", "text": "Bees dance.", "year": 1927}')
    assert (parsed.title, parsed.text) == ("On bees", "Bees dance.")


def test_a_byte_order_mark_is_no_part_of_json() -> None:
    assert read(Kind.JSON, '{"text": "Bees dance."}'.encode("utf-8-sig")).text == "Bees dance."


def test_other_json_gives_its_strings() -> None:
    assert read(Kind.JSON, b'{"a": "x", "b": [{"c": "y"}, "z"], "d": 1}').text == "a: x\nc: y\nb: z"


@pytest.mark.parametrize("data", [b"{", b"NaN", b'"\\ud800"', b"\xff", b"[" * 5000])
def test_bad_json(data: bytes) -> None:
    assert refusal(Kind.JSON, data) == REASON_PARSE_FAILED


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/plain; charset=utf-8", Kind.TEXT),
        ("TEXT/HTML", Kind.HTML),
        ("text/x-python", Kind.TEXT),
        ("application/xhtml+xml", Kind.HTML),
        ("image/png", None),
        ("", None),
    ],
)
def test_kinds_by_media_type(content_type: str, kind: Kind | None) -> None:
    assert by_media_type(content_type) is kind


@pytest.mark.parametrize(
    ("name", "kind"), [("a.PDF", Kind.PDF), ("a.tar.md", Kind.MARKDOWN), ("pdf", None), ("a.exe", None)]
)
def test_kinds_by_file_name(name: str, kind: Kind | None) -> None:
    assert by_file_name(name) is kind
