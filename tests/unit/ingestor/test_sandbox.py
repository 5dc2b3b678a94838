from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import orjson
import pytest

from spanstream.events.v1.failure_pb2 import (
    REASON_ENCRYPTED,
    REASON_HANDLER_CRASH,
    REASON_PARSE_FAILED,
    REASON_PARSE_LIMIT,
    Reason,
)
from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.child import answer
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, ParserUnavailable
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.parsing.sandbox import Sandbox
from tests.unit.ingestor import children, files


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(Limits(seconds=3.0, memory_bytes=2**29), module="tests.unit.ingestor.children", start_seconds=90)
    yield made
    made.close()


def refusal(sandbox: Sandbox | Parser, data: bytes, kind: Kind = Kind.PDF) -> Reason:
    with pytest.raises(ParseError) as caught:
        sandbox.parse(kind, data)
    return caught.value.reason


def test_one_child_reads_many_documents(sandbox: Sandbox) -> None:
    assert sandbox.parse(Kind.PDF, b"a").text == sandbox.parse(Kind.PDF, b"b").text


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (b"die", REASON_HANDLER_CRASH),
        (b"babble", REASON_HANDLER_CRASH),
        (b"hang", REASON_PARSE_LIMIT),
        (b"stutter", REASON_PARSE_LIMIT),
        (b"grow", REASON_PARSE_LIMIT),
    ],
)
@pytest.mark.promise("I13", "I27")
def test_a_document_that_harms_the_child_is_refused_and_the_next_is_read(
    sandbox: Sandbox, deed: bytes, reason: Reason
) -> None:
    sandbox.parse(Kind.PDF, b"warm")
    assert refusal(sandbox, deed) == reason
    assert sandbox.parse(Kind.PDF, b"next").parser == "fake/1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses system calls")
@pytest.mark.parametrize("deed", sorted(children.DEEDS), ids=lambda deed: deed.decode())
def test_the_child_has_no_files_no_network_and_no_children(sandbox: Sandbox, deed: bytes) -> None:
    assert sandbox.parse(Kind.PDF, deed).text.startswith("refused: ")
    assert sandbox.parse(Kind.PDF, b"next").parser == "fake/1"


def test_what_a_parser_prints_is_in_no_log(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    assert sandbox.parse(Kind.PDF, b"print").text == "said"
    assert "document" not in "".join(capfd.readouterr())


def test_no_file_is_missing_once_the_child_is_confined() -> None:
    """What it reads is what this process reads, which may load whatever it likes."""
    sandbox = Sandbox(Limits())
    german = "Größere Bären hören süße Töne über den Flüssen. " * 20
    article = f"<title>T</title><article><h1>Dances</h1><p>{'Bees dance all day. ' * 30}</p></article>"
    try:
        for kind, data in (
            (Kind.TEXT, german.encode("cp1252")),
            (Kind.TEXT, german.encode("utf-16")),
            (Kind.TEXT, "Пчёлы танцуют, чтобы показать другим, где растут цветы. ".encode("koi8-r") * 20),
            (Kind.TEXT, "蜜蜂跳舞告诉别的蜜蜂花在哪里。".encode("gb18030") * 20),
            (Kind.HTML, article.encode()),
            (Kind.HTML, article.encode("utf-8-sig")),
            (Kind.HTML, article.encode("utf-16")),
            (Kind.HTML, article.encode("utf-32")),
            (Kind.HTML, b"<?xml version='1.0' encoding='nonsense'?><meta charset=nonsense>" + article.encode()),
            (Kind.MARKDOWN, "# Fünf\n".encode("utf-8-sig")),
            (Kind.HTML, b"<meta charset=shift_jis><p>" + "蜂は踊る。".encode("shift_jis") * 50),
            (Kind.MARKDOWN, b"# T\n\n> *a* ~~b~~ <i>c</i>\n\n1. d\n   - e\n"),
            (Kind.PDF, files.pdf("Bees dance.", "They tell.")),
            (Kind.DOCX, files.word()),
            (Kind.DOCX, files.bare_word()),
            (Kind.JSON, b'{"title": "T", "text": "Bees."}'),
        ):
            assert sandbox.parse(kind, data) == formats.parse(kind, data, Limits()), kind
    finally:
        sandbox.close()


def test_real_formats_pass_through_the_real_child() -> None:
    sandbox = Sandbox(Limits())
    try:
        assert sandbox.parse(Kind.PDF, files.pdf("Bees dance.")).text == "Bees dance."
        assert "Bees dance." in sandbox.parse(Kind.DOCX, files.word()).text
        assert sandbox.parse(Kind.HTML, b"<title>T</title><p>Bees dance.").title == "T"
        assert refusal(sandbox, files.pdf("x", password="secret")) == REASON_ENCRYPTED
        assert refusal(sandbox, files.bomb(300 * 2**20), Kind.DOCX) == REASON_PARSE_LIMIT
    finally:
        sandbox.close()


def test_ctrl_c_in_a_terminal_is_not_for_the_child(sandbox: Sandbox) -> None:
    child = int(sandbox.parse(Kind.PDF, b"a").text)
    assert os.getpgid(child) == child


def test_closing_twice_is_closing_once(sandbox: Sandbox) -> None:
    sandbox.parse(Kind.PDF, b"a")
    sandbox.close()
    sandbox.close()


@pytest.mark.promise("I14")
@pytest.mark.parametrize(
    "module",
    [
        "tests.unit.ingestor.files",  # it just ends
        "x" * 2**22,  # more than the system takes to start a process
    ],
    ids=["ends", "refused"],
)
def test_a_child_that_does_not_start_says_nothing_of_the_document(module: str) -> None:
    sandbox = Sandbox(Limits(), module=module, start_seconds=90)
    with pytest.raises(ParserUnavailable):
        sandbox.parse(Kind.PDF, b"a")
    sandbox.close()


def test_the_start_of_the_child_is_not_on_the_clock_of_its_first_document() -> None:
    sandbox = Sandbox(
        Limits(seconds=0.05), module="tests.unit.ingestor.children", start_seconds=90
    )  # a start takes longer
    try:
        assert sandbox.parse(Kind.PDF, b"a").parser == "fake/1"
    finally:
        sandbox.close()


def test_a_text_full_of_what_json_escapes_passes(sandbox: Sandbox) -> None:
    assert sandbox.parse(Kind.PDF, b"escape").text == "\x01" * Limits().text_characters


def test_a_fault_of_a_parser_is_a_failure_of_its_document() -> None:
    faulty: Limits = None  # type: ignore[assignment]  # whoever looks at it stumbles
    with pytest.raises(ParseError, match="the parser failed: AttributeError") as caught:
        formats.parse(Kind.PDF, files.pdf("Bees dance."), faulty)
    assert caught.value.reason == REASON_PARSE_FAILED
    assert (
        orjson.loads(answer(b"application/pdf\n" + files.pdf("Bees dance."), faulty))["reason"] == REASON_PARSE_FAILED
    )


class Breaking(Sandbox):
    """Refuses everything, and counts."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(Limits())
        self.asked = 0
        self._reason = reason

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        self.asked += 1
        raise ParseError(self._reason, "no")


@pytest.mark.parametrize(
    ("reason", "asked"), [(REASON_HANDLER_CRASH, 1), (REASON_PARSE_LIMIT, 1), (REASON_ENCRYPTED, 2)]
)
def test_a_document_that_broke_the_sandbox_is_not_tried_again(reason: Reason, asked: int) -> None:
    breaking = Breaking(reason)
    parser = Parser(Limits(), breaking)
    assert refusal(parser, b"x") == refusal(parser, b"x") == reason
    assert breaking.asked == asked


def test_plain_formats_never_reach_the_sandbox() -> None:
    breaking = Breaking(REASON_HANDLER_CRASH)
    parser = Parser(Limits(), breaking)
    assert parser.parse(Kind.TEXT, b"a").text == parser.parse(Kind.MARKDOWN, b"a").text == "a"
    assert parser.parse(Kind.JSON, b'{"text": "a"}').text == "a"
    assert refusal(parser, b"a" * 70_000, Kind.MARKDOWN) == REASON_HANDLER_CRASH
    assert breaking.asked == 1
