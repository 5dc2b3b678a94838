"""What the terminal shows."""

from __future__ import annotations

import io
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from spanstream.client import (
    Content,
    ContentPassage,
    Failure,
    Hit,
    Passage,
    Progress,
    SearchResult,
    Span,
    Status,
    output,
)


def shown(value: object, *, terminal: bool = False) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, force_terminal=terminal, highlight=False, color_system=None).print(value)
    return stream.getvalue()


def passage(text: str, start: int, end: int, offset: int = 0) -> Passage:
    span = Span(offset + start, offset + end, text[start:end], 0.9)
    return Passage(0, offset, offset + len(text), text, 0.9, (span,))


def hit(found: Passage) -> SearchResult:
    return SearchResult((Hit("docs", "a/b", 1, "A title", {}, 0.5, (found,)),), 12.3)


def test_best_span_is_marked_inside_its_passage() -> None:
    text = shown(output.hits(hit(passage("The cat sat on the mat.", 4, 7, offset=100)), marks=True))
    assert "The «cat» sat on the mat." in text
    assert "A title" in text
    assert "docs/a/b" in text
    assert "1 document in 12 ms" in text


def test_nothing_is_wrapped_or_padded_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 60
    out, err = output.consoles()
    out.print(output.hits(hit(passage(f"{long}end", 0, 4)), marks=True))
    err.print(output.failures([Failure("docs", "a.md", "accept", "Invalid", f"{long}end")], 1))
    table = Table("name", "text", box=None)
    table.add_row("a", f"{long}end")
    out.print(table)
    told, refused = capsys.readouterr()
    assert f"    «word» {long[5:]}end\n" in told
    assert f"a     {long}end" in told
    assert refused == f"failed docs/a.md  refused: {long}end\n"


@pytest.mark.parametrize(
    ("title", "texts", "told"),
    [
        ("On bees", ["On  bees\n\nBees dance.", "More."], "On  bees\n\nBees dance.\n\nMore.\n\n"),
        ("On bees", ["On bees, again"], "On bees\n\nOn bees, again\n\n"),
        ("On bees", [], "On bees\n\n"),
        (" ", ["Bees dance."], "Bees dance.\n\n"),
    ],
)
def test_title_is_shown_once(title: str, texts: list[str], told: str) -> None:
    passages = tuple(ContentPassage(number, 0, len(text), text) for number, text in enumerate(texts))
    assert shown(output.document(Content("docs", "a", 1, "", title, "text/plain", {}, passages))) == told


def test_nothing_found_is_said() -> None:
    assert "nothing found" in shown(output.hits(SearchResult((), 1.0), marks=True))


WORDS = st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=150).map(" ".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # it must hold on a busy machine too
@given(WORDS, st.data())
def test_long_passage_is_cut_around_its_span_which_stays_whole(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    plain = output.passage(passage(text, start, end), marks=True, shown=100).plain
    assert f"«{text[start:end]}»" in plain
    assert len(plain) <= max(100, end - start) + 4
    assert "\n" not in plain
    inner = plain.replace("«", "").replace("»", "").strip("…")
    assert inner in text


def test_control_characters_never_reach_the_terminal() -> None:
    evil = "\x1b[2J\x07bell\x9b"
    text = shown(output.hits(hit(passage(f"a {evil} b", 0, 1)), marks=True), terminal=True)
    text += shown(output.status_line(Status("docs", evil, "failed", 0, "parse", "X", evil)), terminal=True)
    text += shown(output.failures([Failure("docs", evil, "parse", "X", evil)], 1), terminal=True)
    assert not {"\x1b[2J", "\x07", "\x9b"} & {text[i : i + n] for i in range(len(text)) for n in (1, 4)}


def test_what_the_server_would_not_take_is_simply_refused() -> None:
    refused = Failure("docs", "notes.jsonl:7", "accept", "Invalid", "id is missing")
    assert "failed docs/notes.jsonl:7  refused: id is missing" in shown(output.failures([refused], 1))


def test_a_failure_is_one_line_whatever_the_file_is_called() -> None:
    refused = Failure("docs", "a\nb.md", "accept", "Invalid", "a\nb.md: no")
    assert shown(output.failures([refused], 1)) == "failed docs/a\ufffdb.md  refused: a\ufffdb.md: no\n"


def test_failures_beyond_fifty_are_counted() -> None:
    listed = [Failure("docs", str(number), "parse", "EMPTY_TEXT", "") for number in range(60)]
    assert "… and 1950 more" in shown(output.failures(listed, 2000))


@pytest.mark.parametrize(
    ("quiet", "lines"), [(False, ["corpus: 4 of 10 searchable, 9 accepted, 1 failed"]), (True, [])]
)
def test_progress_is_plain_lines_now_and_then_without_a_terminal(quiet: bool, lines: list[str]) -> None:
    stream, now = io.StringIO(), 0.0
    bar = output.IngestProgress(Console(file=stream, width=100), "corpus", 10, quiet=quiet, clock=lambda: now)
    with bar:
        bar(Progress(accepted=3, searchable=1))
        now = output.LINE_SECONDS
        bar(Progress(accepted=9, searchable=4, failed=1))
        bar(Progress(accepted=10, searchable=9))
    assert stream.getvalue().splitlines() == lines


def test_progress_bar_counts_searchable_documents() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with output.IngestProgress(console, "corpus", 10) as bar:
        bar(Progress(accepted=9, searchable=4, failed=2))
    assert "4/10" in stream.getvalue()
    assert "9 accepted, 2 failed" in stream.getvalue()


def test_the_name_of_a_file_that_is_not_unicode_is_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9.pdf")
    output.write_json({"id": name, "title": "Glück"})
    told = capsys.readouterr().out
    assert json.loads(told) == {"id": name, "title": "Glück"}
    assert "Glück" in told
    told.encode()
    assert output.clean(name) == "caf\ufffd.pdf"
