from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway.cursors import MAX_CHARACTERS, MAX_SHOWN, InvalidCursor, mark, read, write


@given(st.lists(st.text(max_size=20), max_size=30))
def test_what_was_shown_is_read_back(hits: list[str]) -> None:
    cursor = write("question", "g", map(mark, hits))
    assert cursor is not None
    assert read(cursor, "question", "g") == set(map(mark, hits))


def test_cursor_ends_after_a_thousand_hits_and_fits_the_schema() -> None:
    marks = [mark(str(n)) for n in range(MAX_SHOWN)]
    longest = write("q", "g", marks[1:])
    assert longest is not None
    assert len(longest) <= MAX_CHARACTERS
    assert write("q", "g", marks) is None


def test_cursor_of_another_question_or_generation_says_so() -> None:
    cursor = write("q", "g", [mark("a")])
    assert cursor is not None
    with pytest.raises(InvalidCursor, match="another question"):
        read(cursor, "p", "g")
    with pytest.raises(InvalidCursor, match="has been replaced"):
        read(cursor, "q", "h")


@given(st.text(max_size=80) | st.binary(max_size=80).map(bytes.hex))
def test_anything_else_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor, match="no cursor"):
        read(text, "q", "g")


@given(st.integers(0, 200))
def test_a_cursor_cut_short_is_no_cursor(length: int) -> None:
    cursor = write("q", "g", map(mark, "abcdefgh"))
    assert cursor is not None
    with pytest.raises(InvalidCursor, match="no cursor"):
        read(cursor[: min(length, len(cursor) - 2)], "q", "g")
