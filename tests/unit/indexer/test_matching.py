from __future__ import annotations

import numpy as np
import pytest

from spanstream.events.ids import Key
from spanstream.indexer import matching
from spanstream.indexer.changes import Part
from spanstream.indexer.matching import WORDS, Matcher, best_span
from spanstream.indexer.vectors import passages
from spanstream.store.points import Passage
from tests.unit.indexer.documents import GENERATION, Document
from tests.unit.indexer.queries import query


def cut(*texts: list[str], id: str = "a", title: str = "") -> list[Passage]:
    """The passages of a document, each a list of sentences."""
    (record,) = Document(Key("acme", "wiki", id), 1, texts, title=title).records()
    return passages(Part.read(record).event, GENERATION)


FISH = cut(["One fish swims.", "Two birds fly."], ["Red stones sink slowly."])


def test_a_score_is_cosine_above_the_unrelated_and_share_of_words() -> None:
    asked = query("two birds swim")
    assert asked.computed is not None
    [first, _] = Matcher([asked]).scores(FISH)
    (wanted,) = asked.computed.parts
    rows = np.concatenate([[FISH[0].dense], FISH[0].spans])
    cosine = max(0.0, float((rows @ wanted.vector).max()))
    assert first[0] == pytest.approx((1 - WORDS) * cosine + WORDS * 1.0, abs=1e-5)  # it holds all three words


def test_half_of_the_words_are_half_of_their_share() -> None:
    held = Matcher([query("birds submarines")])._held(FISH)
    np.testing.assert_allclose(held, [[0.5], [0.0]])


def test_the_unrelated_cosine_is_nothing_and_the_same_meaning_is_all() -> None:
    text = "One fish swims."
    same, other = cut([text]), cut(["zebra quux."])
    (score,), (none,) = Matcher([query(text)]).scores([same[0], other[0]])
    assert score == pytest.approx(1.0, abs=1e-3)
    assert none < 0.3


def test_a_score_is_the_same_whatever_else_is_asked_and_indexed() -> None:
    asked = [query("one fish", id="a"), query("stones", "birds", id="b", plan=["all", 0, ["not", 1]])]
    many = [FISH, cut(["More of it."]), cut(["Fish fish fish."], ["Nothing."])]
    together = {(m.query.id, m.document, m.passage): m.score for m in Matcher([*asked]).meet(many)}
    alone = {
        (m.query.id, number, m.passage): m.score
        for one in asked
        for number, document in enumerate(many)
        for m in Matcher([one]).meet([document])
    }
    assert together.keys() == alone.keys()
    for meeting, score in together.items():
        assert alone[meeting] == pytest.approx(score, abs=1e-6)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = Matcher([query("one fish"), query("stones")])
    whole = matcher.scores(FISH * 5)
    monkeypatch.setattr(matching, "MAX_ROWS", 3)
    np.testing.assert_allclose(matcher.scores(FISH * 5), whole, atol=1e-6)


def test_a_part_without_words_of_weight_is_scored_by_its_meaning_alone() -> None:
    asked = query("the")
    assert asked.computed is not None
    [first, _] = Matcher([asked, query("birds")]).scores(FISH)
    rows = np.concatenate([[FISH[0].dense], FISH[0].spans])
    assert first[0] == pytest.approx(max(0.0, float((rows @ asked.computed.parts[0].vector).max())), abs=1e-5)


def test_the_best_passage_and_span_are_named() -> None:
    asked = query("birds fly")
    assert asked.computed is not None
    [meeting] = Matcher([asked]).meet([FISH])
    assert (meeting.document, meeting.passage) == (0, 0)
    start, end = best_span(FISH[0], asked.computed)
    assert FISH[0].text[start:end] == "Two birds fly."


def test_a_span_is_sought_by_what_is_not_behind_a_not() -> None:
    asked = query("birds fly", "one fish swims", plan=["all", 0, ["not", 1]])
    assert asked.computed is not None
    start, end = best_span(FISH[0], asked.computed)
    assert FISH[0].text[start:end] == "Two birds fly."
