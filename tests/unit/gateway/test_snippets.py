"""Snippets: whole sentences where they fit, whole words where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.events.ids import Key
from spanstream.gateway.snippets import SNIPPET_CHARACTERS, Snippet, snippet
from spanstream.gateway.spans import FoundSpan
from spanstream.store.points import Passage
from tests.unit.gateway.corpus import BIRD, FISH, Corpus
from tests.unit.gateway.test_search import ask

AT = 1000  # where the passage begins in its document


def passage(sentences: list[str], *inner: tuple[int, int]) -> Passage:
    """Sentences with a space between them; `inner` spans by their offsets in the passage."""
    text, offsets = " ".join(sentences), []
    start = 0
    for sentence in sentences:
        offsets.append((start, start + len(sentence)))
        start += len(sentence) + 1
    spans = np.array([*offsets, *inner], np.int32).reshape(-1, 2) + AT
    return Passage(Key("t", "s", "d"), 1, b"", 0, AT, AT + len(text), text, "", {}, (), 1, spans)


def span(of: Passage, words: str) -> FoundSpan:
    start = AT + of.text.index(words)
    return FoundSpan(start, start + len(words), words, 1.0)


def is_exact(shown: Snippet, of: Passage) -> bool:
    return of.text[shown.start - AT : shown.end - AT] == shown.text


SENTENCES = ["One is here.", "Two is there.", "Three is far away.", "Four."]


@pytest.mark.parametrize(
    ("best", "characters", "expected"),
    [
        ("Two is there.", 13, "Two is there."),
        ("Two is there.", 25, "Two is there."),
        ("Two is there.", 31, "One is here. Two is there."),
        ("Two is there.", 32, "Two is there. Three is far away."),
        ("Two is there.", 26, "One is here. Two is there."),
        ("Four.", 24, "Three is far away. Four."),
        ("is far", 20, "Three is far away."),
        ("Two is there.", 300, " ".join(SENTENCES)),
    ],
)
def test_whole_sentences_that_fit_are_shown(best: str, characters: int, expected: str) -> None:
    written = passage(SENTENCES, (32, 38), (0, 3))
    shown = snippet(written, span(written, best), characters)
    assert shown.text == expected
    assert is_exact(shown, written)


def test_without_a_span_the_beginning_is_shown() -> None:
    assert snippet(passage(SENTENCES), None, 30).text == "One is here. Two is there."
    assert snippet(passage(["a few words " * 99]), None, 20).text == "a few words a few"


@pytest.mark.parametrize("best", ["eighty", "zero", "hundred.", "fifty-five"])
def test_a_long_sentence_is_cut_at_spaces_around_its_span(best: str) -> None:
    some, others = [f"word{i}" for i in range(40)], [f"don't{i}" for i in range(40)]
    words = ["zero", *some, "fifty-five", *others, "eighty", "hundred."]
    written = passage([" ".join(words)])
    shown = snippet(written, span(written, best), 60)
    assert best in shown.text
    assert 40 <= len(shown.text) <= 60
    assert set(shown.text.split()) <= set(words)
    assert is_exact(shown, written)


def test_a_span_that_is_too_long_itself_is_cut_at_its_end() -> None:
    written = passage(["word " * 50 + "end."])
    shown = snippet(written, span(written, written.text), 22)
    assert shown.text == "word word word word"


@pytest.mark.parametrize(
    ("text", "best", "characters", "expected"),
    [
        ("魚は赤い。" + "鳥は南へ飛び、春に帰る、" * 5, "春に帰る", 31, "魚は赤い。" + "鳥は南へ飛び、春に帰る、" * 2),
        ("東京都庁舎" * 20, "都庁", 8, None),
        ("คนไทยรักปลา" * 20, "รัก", 20, None),
        ("e\u0301" * 50, "e\u0301", 9, "e\u0301" * 4),
        ("👩\u200d👩\u200d👧" * 9, "👩\u200d👩\u200d👧", 12, "👩\u200d👩\u200d👧" * 2),
        ("👍🏽" * 9, "👍🏽", 3, "👍🏽"),
        ("🇫🇷🇩🇪" * 9, "🇫🇷", 3, None),
        ("x" * 500, "x", 20, None),
        ("https://example.org/" + "a" * 500, "https", 20, None),
    ],
)
def test_scripts_without_spaces_are_cut_behind_marks_and_characters_stay_whole(
    text: str, best: str, characters: int, expected: str | None
) -> None:
    written = passage([text])
    shown = snippet(written, span(written, best) if expected is None or best != text[: len(best)] else None, characters)
    assert 0 < len(shown.text) <= characters
    assert is_exact(shown, written)
    assert expected is None or shown.text == expected


WORD = st.text("abcdé-'12", min_size=1, max_size=12)


@given(st.lists(st.lists(WORD, min_size=1, max_size=30), min_size=1, max_size=5), st.integers(12, 200), st.data())
def test_no_word_is_ever_cut_and_the_span_stays_whole(
    words: list[list[str]], characters: int, data: st.DataObject
) -> None:
    written = passage([" ".join(sentence) for sentence in words])
    start, end = data.draw(st.sampled_from(written.span_offsets.tolist()))
    inner = data.draw(st.sampled_from(written.text[start - AT : end - AT].split()))
    at = written.text.index(inner, start - AT) + AT
    best = FoundSpan(at, at + len(inner), inner, 1.0)
    shown = snippet(written, best, characters)
    assert is_exact(shown, written)
    assert len(shown.text) <= characters
    assert shown.text == shown.text.strip()
    before, after = written.text[: shown.start - AT], written.text[shown.end - AT :]
    whole = (at == AT or written.text[at - AT - 1] == " ") and written.text[at - AT + len(inner) :][:1] in ("", " ")
    if whole:  # else what was found is a part of a longer word, and the word border is the span's own
        assert inner in shown.text
        assert before[-1:] in ("", " ")
        assert after[:1] in ("", " ")


@given(st.text(min_size=1, max_size=400).filter(lambda text: text == text.strip()), st.integers(1, 60), st.data())
def test_any_text_gives_an_exact_snippet_within_the_limit(text: str, characters: int, data: st.DataObject) -> None:
    written = passage([text])
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    shown = snippet(written, FoundSpan(AT + start, AT + end, text[start:end], 1.0), characters)
    assert is_exact(shown, written)
    assert len(shown.text) <= characters


def test_every_hit_has_a_snippet_around_its_best_span(shared: Corpus) -> None:
    for found in (each for hit in ask(shared, "returns in spring").hits for each in hit.passages):
        shown = snippet(found.passage, found.spans[0])
        text = {document.key: document.text for document in (BIRD, FISH)}.get(found.passage.key)
        assert text is None or text[shown.start : shown.end] == shown.text
        assert shown.start <= found.spans[0].start < found.spans[0].end <= shown.end
        assert len(shown.text) <= SNIPPET_CHARACTERS
