from __future__ import annotations

from dataclasses import replace

import pytest

from spanstream.representations.training.errors import CorpusUnsuitable
from spanstream.representations.training.objective import Document
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate.exam import Exam, Question, halves, paper
from spanstream.standalone.training import labels
from tests.unit.standalone.gate.counting import TEXTS, Counting

PAPERS = [paper(text) for text in TEXTS]


def mined(*questions: Question) -> list[Document]:
    with encoding.progress(quiet=True) as bar:
        return list(labels.labelled(Counting(), Exam(PAPERS, questions), bar))


def test_a_question_comes_with_its_passage_and_the_hardest_of_the_others_first() -> None:
    asked = Question("whales sing, violins sound", {0: 1.0})
    found = mined(asked)
    assert [each.text for each in found] == TEXTS
    assert [each.queries for each in found] == [(asked.text,), (), ()]
    right = mined(Question("whales sing below ice, violins", {0: 1.0}))[0]
    assert [each.text for each in right.negatives["whales sing below ice, violins"]] == [TEXTS[1], TEXTS[2]]


def test_what_may_be_right_is_no_negative() -> None:
    near = "violins sound warm whales"  # nearer to the second text than to the first, which is judged right
    assert TEXTS[1] not in [each.text for each in mined(Question(near, {0: 1.0}))[0].negatives[near]]
    both = "whales sing below ice, bakeries"
    kept = mined(Question(both, {0: 1.0, 2: 1.0}))[0]
    assert TEXTS[2] not in [each.text for each in kept.negatives[both]]
    judged_wrong = mined(Question(both, {0: 1.0, 2: 0.0}))
    assert judged_wrong[2].queries == ()
    assert TEXTS[2] in [each.text for each in judged_wrong[0].negatives[both]]


def test_without_a_relevant_document_there_is_nothing_to_learn() -> None:
    with pytest.raises(CorpusUnsuitable, match="no judged query to learn from"):
        mined(Question("whales", {0: 0.0}))


def test_a_query_is_learnt_or_judged_by_but_never_both() -> None:
    whole = Exam(PAPERS, [Question(f"question {number}", {0: 1.0}) for number in range(40)], "queries")
    learnt, judged = halves(whole)
    assert sorted(each.text for half in (learnt, judged) for each in half.questions) == sorted(
        each.text for each in whole.questions
    )
    assert min(len(learnt.questions), len(judged.questions)) > 10
    few, _ = halves(replace(whole, questions=whole.questions[:20]))
    assert few.questions == [each for each in whole.questions[:20] if each in learnt.questions]
