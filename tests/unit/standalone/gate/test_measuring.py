"""With an encoder whose vectors are counts of words, so that what is found can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.judgements import Collection
from spanstream.standalone.gate import exam, rules
from spanstream.standalone.gate.exam import Unexaminable
from spanstream.standalone.gate.measuring import measure
from tests.unit.standalone.gate.counting import TEXTS, Counting


def judged(answers: dict[str, list[tuple[str, int, int]]], **queries: str) -> exam.Exam:
    documents = [{"_id": str(number), "text": text, "title": ""} for number, text in enumerate(TEXTS)]
    data = Collection(documents, queries, {query: {"0": 1.0} for query in queries})
    return exam.judged(data, answers, "a test")


def scores(asked: exam.Exam) -> dict[str, float]:
    with encoding.progress(quiet=True) as bar:
        return {name: float(of.mean()) for name, of in measure(Counting(), asked, bar, "one").scores.items()}


def test_the_sentence_that_holds_the_answer_counts() -> None:
    start = TEXTS[0].index("sing")
    asked = judged({"right": [("0", start, start + 4)]}, right="what do whales sing below ice")
    found = scores(asked)
    assert (found[rules.NDCG], found[rules.SPANS]) == (100, 100)
    assert found[rules.under("answer at the start")] == 100
    wrong = judged({"wrong": [("0", 0, 4)]}, wrong="what do whales sing below ice")
    assert scores(wrong)[rules.SPANS] == 0


def test_a_query_that_finds_another_document_first_has_a_part_of_the_gain() -> None:
    found = scores(judged({}, away="violins sound warm whales"))
    assert found[rules.NDCG] == pytest.approx(100 / np.log2(3))
    assert rules.SPANS not in found
    assert not any("answer" in name for name in found)


def test_where_the_answer_stands_changes_what_is_found() -> None:
    start = TEXTS[0].index("sing")
    asked = judged({"odd": [("0", start, start + 4)]}, odd="whales violins nobody knows")
    found = scores(asked)
    assert found[rules.under("answer at the start")] >= found[rules.under("answer at the end")]


def test_judgements_of_unknown_documents_are_refused_by_name() -> None:
    documents = [{"_id": "a", "text": "Some text.", "title": ""}]
    known = Collection(documents, {"q": "some"}, {"q": {"a": 1.0}})
    with pytest.raises(Unexaminable, match=r"1 judgements name documents.*such as 'b'"):
        exam.judged(Collection(documents, {"q": "some"}, {"q": {"b": 1.0}}), {}, "")
    with pytest.raises(Unexaminable, match=r"1 queries are judged that queries.jsonl lacks, such as 'p'"):
        exam.judged(Collection(documents, {"q": "some"}, {"q": {"a": 1.0}, "p": {"a": 1.0}}), {}, "")
    with pytest.raises(Unexaminable, match="'c' for query 'q'"):
        exam.judged(known, {"q": [("c", 0, 1)]}, "")


def test_a_document_without_a_word_is_one_passage() -> None:
    assert len(exam.paper("").passages) == 1
