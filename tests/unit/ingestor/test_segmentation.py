from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanstream.ingestor.normalise import is_empty, normalise
from spanstream.ingestor.segmentation import passages

# Texts as they come: words, abbreviations, marks of structure, any Unicode.
pieces = st.sampled_from(
    [
        "Dr. Smith went. ",
        "e.g. this",
        "\n",
        "\n\n",
        "- item\n",
        "1. First\n",
        "# Head\n",
        " ",
        "\t",
        "! ",
        "?!",
        "。",
        "x" * 30,
    ]
) | st.text(max_size=12)
texts = st.lists(pieces, max_size=40).map("".join).map(normalise)


@given(texts, st.integers(5, 200), st.integers(1, 8))
@settings(max_examples=300, deadline=None)
def test_offsets_are_exact_cover_everything_and_respect_limits(text: str, characters: int, sentences: int) -> None:
    cut = passages(text, characters, sentences)
    covered: set[int] = set()
    last = 0
    for passage in cut:
        assert passage.start == passage.sentences[0][0]
        assert passage.end == passage.sentences[-1][1]
        assert passage.end - passage.start <= characters
        assert len(passage.sentences) <= sentences
        for start, end in passage.sentences:
            assert last <= start < end
            assert text[start:end] == text[start:end].strip()
            covered.update(range(start, end))
            last = end
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered
    assert passages(text, characters, sentences) == cut


def sentences(text: str) -> list[str]:
    return [text[start:end] for passage in passages(text, 1000, 64) for start, end in passage.sentences]


def test_sentences_survive_abbreviations_numbers_and_line_ends() -> None:
    text = "Dr. Smith et al. measured 3.5 mm, e.g. in Fig. 3. Then he\nleft. Why?"
    assert sentences(text) == ["Dr. Smith et al. measured 3.5 mm, e.g. in Fig. 3.", "Then he\nleft.", "Why?"]


def test_a_dotted_name_is_one_word() -> None:
    text = "It raises asyncio.CancelledError, see os.path.Join! Really?Yes. Then it ends.\nNew line."
    assert sentences(text) == [
        "It raises asyncio.CancelledError, see os.path.Join!",
        "Really?",
        "Yes.",
        "Then it ends.",
        "New line.",
    ]


def test_structure_ends_sentences() -> None:
    text = "# Bees\nThey dance\n- in circles\n- in eights\n1. First\n2. Second\n\nLast ..."
    assert sentences(text) == [
        "# Bees",
        "They dance",
        "- in circles",
        "- in eights",
        "1. First",
        "2. Second",
        "Last ...",
    ]


def test_a_paragraph_that_does_not_fit_starts_a_passage_and_a_heading_stays_with_its_text() -> None:
    first, second = "One sentence here. " * 3, "Another sentence there. " * 3
    cut = passages(f"Head\n\n{first.strip()}\n\n{second.strip()}", 100, 64)
    assert [(p.start, p.end) for p in cut] == [(0, 62), (64, 135)]


def test_an_overlong_sentence_is_cut_at_word_borders() -> None:
    text = "word " * 100
    assert all(text[p.start : p.end] == "word word word word" for p in passages(text, 23, 64)[:-1])


@pytest.mark.parametrize(
    "text",
    ["a" * 10**6, "a " * 500_000, "a. " * 300_000, "\n \n " * 200_000, "- \n" * 300_000, "# " * 400_000, "。" * 10**6],
)
def test_pathological_texts_take_linear_time(text: str) -> None:
    def seconds(part: str) -> float:
        """Of this thread's CPU: what others do on the machine takes nothing of it."""
        began = time.thread_time()
        passages(part, 1000, 64)
        return time.thread_time() - began

    seconds(text[: len(text) // 8])
    small, whole = min(seconds(text[: len(text) // 8]) for _ in range(3)), seconds(text)
    assert whole < 8 * small * 5 + 0.2


def test_spans_of_the_development_data_lie_in_untouched_text(development_data: Path) -> None:
    for name in ("xquad", "longdocs"):
        lines = (development_data / name / "corpus.jsonl").read_text().splitlines()
        corpus = {row["_id"]: row["text"] for row in map(json.loads, lines)}
        for line in (development_data / name / "spans.tsv").read_text().splitlines()[1:]:
            _, document, start, end, span = line.split("\t", 4)
            assert normalise(corpus[document])[int(start) : int(end)] == corpus[document][int(start) : int(end)]
            assert " ".join(corpus[document][int(start) : int(end)].split()) == " ".join(span.split())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc\x0bd\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("\ufeffa\x00b\x07c\x9fd", "abcd"),
        ("tab\tand trailing  \n\u00a0e\u0301 \u200d ", "tab\tand trailing  \n\u00a0e\u0301 \u200d "),
    ],
)
def test_only_what_cannot_be_shown_is_normalised(text: str, clean: str) -> None:
    assert normalise(text) == clean


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d", "\u0301\u0302", "\u2028"])
def test_blanks_and_marks_are_empty(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize("text", ["a", "。", "🐝", "..."])
def test_anything_visible_is_not_empty(text: str) -> None:
    assert not is_empty(text)


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u3000", "\u2009"])
def test_spaces_of_any_width_are_spaces(space: str) -> None:
    text = f"Point A{space}. It rose.{space}It fell{space}!"
    plain = text.replace(space, " ")
    assert passages(text, 200, 8) == passages(plain, 200, 8)
