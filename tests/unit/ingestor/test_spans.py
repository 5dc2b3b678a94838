from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanstream.events.segmenter import Spans
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import Passage, passages
from spanstream.ingestor.spans import propose

EVERYTHING = "sentences+clauses+phrases+windows3:20"
pieces = st.sampled_from(
    [
        "The quick fox of London, which ran (or so she said)",
        " and then it slept; ",
        "on the mat. ",
        "1,200 km – at 3:15",
        "e.g. O'Neil-Smith's",
        "我们去了北京，然后回到了上海的家。",
        "cafe\u0301 ",
        ".\u0301",
        " \u0308",
        "👩‍👩‍👧 ",
        "#️⃣",
        "नमस्ते दुनिया ",
        "\n",
        "of of ",
        "x" * 60,
    ]
) | st.text(max_size=12)
texts = st.lists(pieces, max_size=30).map("".join).map(normalise)


def proposed(text: str, form: str) -> list[str]:
    spans = Spans.parse(form)
    return [text[start:end] for passage in passages(text, 1200, 64) for start, end in propose(text, passage, spans)]


@given(texts, st.sampled_from([EVERYTHING, "sentences+clauses:5", "sentences+phrases:5", "sentences+windows2:9"]))
@settings(max_examples=300, deadline=None)
def test_spans_lie_in_a_sentence_between_words_within_the_budget(text: str, form: str) -> None:
    spans = Spans.parse(form)
    for passage in passages(text, 200, 8):
        found = propose(text, passage, spans)
        assert len(found) == len(set(found)) <= spans.per_passage
        assert not set(found) & set(passage.sentences)
        assert found == sorted(found, key=lambda span: (span[0], -span[1])) == propose(text, passage, spans)
        edges = {edge for sentence in passage.sentences for edge in sentence}  # a word too long for one is cut there
        for start, end in found:
            assert any(first <= start < end <= last for first, last in passage.sentences)
            assert text[start:end] == text[start:end].strip()
            assert not text[start - 1 : start + 1].isalnum() or start in edges
            assert not text[end - 1 : end + 1].isalnum() or end in edges
            assert not unicodedata.category(text[start]).startswith("M")
            assert end == len(text) or end in edges or not unicodedata.category(text[end]).startswith("M")


def test_clauses_end_at_signs_and_at_words_that_open_one() -> None:
    text = "The team won twenty-four games, while also forcing three fumbles; it lost four (all of them at home)."
    assert proposed(text, "sentences+clauses:9") == [
        "The team won twenty-four games",
        "while also forcing three fumbles",
        "all of them at home",
    ]


def test_a_comma_in_a_list_ends_no_clause() -> None:
    assert proposed("He bought red apples, green pears, yellow plums and some bread.", "sentences+clauses:9") == []


def test_phrases_are_runs_of_content_words_with_an_inner_of() -> None:
    text = "The University of Oxford was visited by Dr. O'Neil-Smith at 3:15 with 1,200 people of."
    assert proposed(text, "sentences+phrases:9") == [
        "University of Oxford",
        "visited",
        "Dr",
        "O'Neil-Smith",
        "3:15",
        "1,200 people",
    ]


def test_windows_overlap_by_half_and_end_with_the_sentence() -> None:
    assert proposed("a b c d e f g.", "sentences+windows4:9") == ["a b c d", "c d e f", "d e f g"]


def test_scripts_without_spaces_have_clauses_only() -> None:
    text = "我们昨天一起去了北京的博物馆，然后我们回到了上海的家。"
    assert proposed(text, "sentences+phrases+windows1:9") == []
    assert proposed(text, "sentences+clauses:9") == ["我们昨天一起去了北京的博物馆", "然后我们回到了上海的家"]


def test_a_tight_budget_keeps_clauses_then_the_phrases_of_rare_words() -> None:
    text = "The bee saw a bee; the golden honey badger of Kenya saw the bee and it ran away."
    assert proposed(text, "sentences+clauses+phrases:3") == [
        "The bee saw a bee",
        "the golden honey badger of Kenya saw the bee and it ran away",
        "golden honey badger of Kenya",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000,
        "ab " * 20_000,
        "a-" * 25_000,
        "of " * 20_000,
        "a, and b; " * 5_000,
        "\u0301" * 50_000,
        "👩‍👩‍👧" * 9_000,
    ],
)
def test_pathological_texts_take_linear_time(text: str) -> None:
    def seconds(part: str) -> float:
        whole = Passage(0, len(part), ((0, len(part)),))
        began = time.thread_time()
        propose(part, whole, Spans.parse("sentences+clauses+phrases+windows8:255"))
        return time.thread_time() - began

    eighth = text[: len(text) // 8]
    assert min(seconds(text) for _ in range(3)) < 8 * min(seconds(eighth) for _ in range(3)) * 5 + 0.2
