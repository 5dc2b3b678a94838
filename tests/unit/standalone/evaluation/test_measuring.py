from __future__ import annotations

import numpy as np
import pytest

from spanstream.client.results import Hit, Passage, Span
from spanstream.standalone.evaluation.measuring import difference, ranking, spans

TEXT = "The caretaker hides the spare key beneath the blue flowerpot."


def hit(id: str, start: int = 0, end: int = 0, at: int = 100) -> Hit:
    """A document whose passage begins at character `at`, with a best span of the passage's characters."""
    best = Span(at + start, at + end, TEXT[start:end], 0.9)
    return Hit("s", id, 1, "", {}, 0.5, (Passage(0, at, at + len(TEXT), TEXT, 0.5, (best,) if end else ()),))


def words(first: str, last: str) -> tuple[int, int]:
    return TEXT.index(first), TEXT.index(last) + len(last)


def test_rankings_are_measured_in_points() -> None:
    found = [hit(name) for name in ("x", "a", "y", "b")]
    measured = ranking(found, {"a": 1.0, "b": 1.0, "c": 1.0})
    assert measured["MRR@10"] == 50
    assert measured["recall@100"] == pytest.approx(200 / 3)
    assert measured["nDCG@10"] == pytest.approx(100 * (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 0.5))
    assert set(ranking([], {"a": 1.0}).values()) == {0}


@pytest.mark.parametrize(
    ("span", "answer", "expected"),
    [
        (("The", "flowerpot"), ("blue", "flowerpot"), (100, 20, 100, 20)),
        (("blue", "flowerpot"), ("blue", "flowerpot"), (100, 100, 100, 100)),
        (("the spare", "blue"), ("blue", "flowerpot"), (0, 100 / 6, 50, 100 / 7)),
        (("caretaker", "hides"), ("blue", "flowerpot"), (0, 0, 0, 0)),
    ],
)
def test_spans_are_held_against_answers_word_by_word(
    span: tuple[str, str], answer: tuple[str, str], expected: tuple[float, ...]
) -> None:
    start, end = words(*answer)
    measured = spans([hit("d", *words(*span))], [("d", 100 + start, 100 + end)])
    assert tuple(measured.values()) == pytest.approx(expected)


def test_the_answer_that_is_met_best_counts() -> None:
    start, end = words("blue", "flowerpot")
    elsewhere = ("d", 0, 9)
    measured = spans([hit("d", start, end)], [elsewhere, ("d", 100 + start, 100 + end), ("other", 100, 130)])
    assert measured["span IoU"] == 100


@pytest.mark.parametrize("hits", [[], [hit("other", 0, 3)], [hit("d")]])
def test_without_a_span_of_the_right_document_nothing_is_met(hits: list[Hit]) -> None:
    assert set(spans(hits, [("d", 100, 110)]).values()) == {0}


def test_a_clear_difference_is_told_from_chance() -> None:
    random = np.random.default_rng(0)
    before = random.uniform(0, 100, 60)
    better = difference(before, before + random.uniform(1, 5, 60))
    assert better.value.low > 0
    assert better.p < 0.001
    none = difference(before, before + random.normal(0, 5, 60))
    assert none.value.low < 0 < none.value.high
    assert none.p > 0.05
    assert difference(before, before).p == 1
