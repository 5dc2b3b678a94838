"""The laws of queries over meanings, and what a whole search makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.events.ids import Key
from spanstream.gateway.asking import UnknownExample
from spanstream.gateway.found import Answer
from spanstream.gateway.meanings import (
    All,
    AnyOf,
    Example,
    Leaf,
    Meaning,
    Not,
    Words,
    canonical,
    grade,
    leaves,
    seeks,
    sought,
)
from spanstream.gateway.question import Mode, Question
from spanstream.store.queries import Scope
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus, document
from tests.unit.indexer.documents import DIMENSION, deleted

A, B, C = Words("a"), Words("b"), Example("wiki", "c", 0, 9)
LEAVES: list[Leaf] = [A, B, C]
ACME = Scope("acme")


def groups(inner: st.SearchStrategy[Meaning]) -> st.SearchStrategy[Meaning]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(parts.map(All), parts.map(AnyOf), inner.map(Not))


MEANINGS: st.SearchStrategy[Meaning] = st.recursive(st.sampled_from(LEAVES), groups, max_leaves=8)
GRADES = st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3)


def graded(meaning: Meaning, grades: list[float]) -> float:
    given = {leaf: np.array([value], np.float32) for leaf, value in zip(LEAVES, grades, strict=True)}
    return float(grade(canonical(meaning), given)[0])


@given(MEANINGS, GRADES)
def test_a_grade_is_between_none_and_all(meaning: Meaning, grades: list[float]) -> None:
    assert 0 <= graded(meaning, grades) <= 1


@given(MEANINGS)
def test_naming_a_part_twice_is_naming_it_once(meaning: Meaning) -> None:
    assert canonical(All((meaning, meaning))) == canonical(AnyOf((meaning, meaning))) == canonical(meaning)
    assert canonical(All((meaning,))) == canonical(meaning)


@given(st.lists(MEANINGS, min_size=2, max_size=4), st.randoms())
def test_order_says_nothing(parts: list[Meaning], chance: object) -> None:
    turned = parts[::-1]
    assert canonical(All(tuple(parts))) == canonical(All(tuple(turned)))
    assert canonical(AnyOf(tuple(parts))) == canonical(AnyOf(tuple(turned)))


@given(MEANINGS, GRADES)
def test_a_double_negation_is_none_and_a_negation_the_complement(meaning: Meaning, grades: list[float]) -> None:
    assert canonical(Not(Not(meaning))) == canonical(meaning)
    assert graded(Not(meaning), grades) == pytest.approx(1 - graded(meaning, grades), abs=2e-4)


@given(MEANINGS, GRADES, st.floats(0, 0.5))
def test_no_passage_gains_by_the_negation_of_what_it_is_about(
    meaning: Meaning, grades: list[float], more: float
) -> None:
    """The better it fits what is excluded, the worse it does, whatever else is asked."""
    least = min(grades[0] + more, 0.99)
    if A not in leaves(canonical(meaning)):
        less, same = (graded(All((meaning, Not(A))), [first, *grades[1:]]) for first in (least, grades[0]))
        assert less <= same + 1e-6


@given(GRADES)
def test_what_is_and_is_not_is_flat(grades: list[float]) -> None:
    assert graded(All((A, Not(A))), grades) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("meaning", "found_by"),
    [
        (A, [A]),
        (Not(A), None),
        (All((A, Not(B))), [A]),
        (AnyOf((A, Not(B))), None),
        (Not(All((Not(A), Not(B)))), [A, B]),
        (Not(AnyOf((Not(A), B))), [A]),
        (All((Not(A), Not(B))), None),
        (All((AnyOf((A, C)), Not(B))), [C, A]),
    ],
)
def test_a_query_has_to_say_what_to_look_for(meaning: Meaning, found_by: list[Leaf] | None) -> None:
    told = canonical(meaning)
    assert seeks(told) is (found_by is not None)
    if found_by is not None:
        assert set(sought(told)) == set(found_by)


def search(corpus: Corpus, meaning: Meaning, scope: Scope = ACME, **more: object) -> Answer:
    return corpus.searcher.search(scope, Question(canonical(meaning), **more), DIMENSION)  # type: ignore[arg-type]


def ids(answer: Answer) -> list[str]:
    return [hit.head.key.id for hit in answer.hits]


@pytest.mark.parametrize("mode", Mode)
def test_all_wants_both_and_not_pushes_down(shared: Corpus, mode: Mode) -> None:
    both = search(shared, All((Words("fish"), Words("tree roots"))), mode=mode)
    assert ids(both)[0] == TREE.key.id  # "Fish live elsewhere" stands in the tree's
    without = search(shared, All((Words("fish"), Not(Words("tree roots live elsewhere")))), mode=mode)
    assert ids(without)[0] == FISH.key.id


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("turned", [False, True])
def test_texts_and_examples_keep_their_places(corpus: Corpus, mode: Mode, turned: bool) -> None:
    """Which part is excluded must not depend on whether it is a text or an example."""
    corpus.put(
        document("cold", ["Snow covers frozen lakes."]),
        document("hot", ["Sand covers burning deserts."]),
        document("ice", ["Frozen lakes, covers: snow."]),
        document("dune", ["Burning deserts, covers: sand."]),
    )
    like, words, wanted = ("cold", "burning deserts sand", "ice") if turned else ("hot", "frozen lakes snow", "dune")
    found = search(corpus, All((Example("wiki", like), Not(Words(words)))), mode=mode)
    assert ids(found)[0] == wanted
    found = search(corpus, All((Words(words), Not(Example("wiki", like)))), mode=mode)
    assert ids(found)[0] in ({"hot", "dune"} if turned else {"cold", "ice"})


@pytest.mark.parametrize("mode", Mode)
def test_any_finds_either(shared: Corpus, mode: Mode) -> None:
    found = search(shared, AnyOf((Words("bird flies south"), Words("old tree stands"))), mode=mode)
    assert set(ids(found)[:2]) == {BIRD.key.id, TREE.key.id}
    assert all(hit.passages[0].spans for hit in found.hits[:2])


@pytest.mark.parametrize("mode", Mode)
def test_more_like_a_document_is_not_the_document(corpus: Corpus, mode: Mode) -> None:
    corpus.put(document("pond", ["Red fish and blue fish sleep."], title="Pond"))
    found = search(corpus, Example("wiki", "fish"), mode=mode)
    assert ids(found)[0] == "pond"
    assert "fish" not in ids(found)


def test_like_a_part_of_a_document_means_its_text(shared: Corpus) -> None:
    start = TREE.text.index("Fish live elsewhere.")
    found = search(shared, Example("wood", TREE.key.id, start, start + 4))
    assert ids(found)[0] == FISH.key.id


@pytest.mark.parametrize(
    "example",
    [
        Example("wiki", "nowhere"),
        Example("wood", "fish"),
        Example("wiki", "fish", 5000, 5010),
        Example("wiki", "fish", 3, 3),
    ],
)
def test_an_example_that_is_not_there_is_refused(shared: Corpus, example: Example) -> None:
    with pytest.raises(UnknownExample):
        search(shared, example)


def test_an_example_of_another_tenant_or_group_or_of_the_past_is_not_there(corpus: Corpus) -> None:
    corpus.put(document("secret", ["Fish of gold."], groups=("staff",)))
    corpus.put(document("past", ["Fish of old."]))
    corpus.index([deleted(Key("acme", "wiki", "past"), 2)])
    corpus.put(document("theirs", ["Fish of theirs."], tenant="other"))
    assert ids(search(corpus, Example("wiki", "secret"), Scope("acme", ("staff",))))
    for scope, id in ((Scope("acme", ("public",)), "secret"), (ACME, "past"), (ACME, "theirs")):
        with pytest.raises(UnknownExample):
            search(corpus, Example("wiki", id), scope)


def test_examples_of_two_sources_are_two_examples() -> None:
    assert len(leaves(canonical(All((Example("wiki", "a"), Example("wood", "a")))))) == 2


def test_words_of_no_weight_have_no_say(shared: Corpus) -> None:
    plain = search(shared, All((Words("fish swims"), Words("bird"))), mode=Mode.LEXICAL)
    with_stop_words = search(shared, All((Words("fish swims"), Words("bird"), Words("of the"))), mode=Mode.LEXICAL)
    assert ids(plain) == ids(with_stop_words)
    assert search(shared, AnyOf((Words("of"), Words("the"))), mode=Mode.LEXICAL).hits == []
