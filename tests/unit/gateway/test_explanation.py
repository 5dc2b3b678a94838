"""Explanations: every number adds up to the score that ranked the passage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import exp, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway import explanation
from spanstream.gateway.explaining import explain
from spanstream.gateway.explanation import Explanation, PartGrade, readable
from spanstream.gateway.found import Answer
from spanstream.gateway.meanings import All, AnyOf, Example, Meaning, Not, Words, canonical
from spanstream.gateway.question import Mode, Question
from spanstream.store.lexical import document_terms, query_terms, words
from spanstream.store.points import State
from spanstream.store.queries import Scope
from tests.unit.gateway.corpus import FISH, Corpus, document
from tests.unit.gateway.test_api import Api, default, is_problem
from tests.unit.indexer.documents import DIMENSION

ACME = Scope("acme")
KINDS = ["red", "blue", "quick", "old", "deep", "small", "great", "cold"]
PLACES = ["river", "sea", "pond", "lake", "brook"]


def text(i: int) -> str:
    return f"A {KINDS[i % 8]} fish swims in the {PLACES[i % 5]}."


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    fish = [document(f"fish{i}", [text(i), "It has scales."], title="Of fish") for i in range(30)]
    birds = [document(f"bird{i}", [f"A {KINDS[i % 8]} bird flies over the {PLACES[i % 5]}."]) for i in range(10)]
    corpus.put(*fish, *birds)
    yield corpus
    corpus.store.close()


def ask(corpus: Corpus, meaning: Meaning, scope: Scope = ACME, **more: Any) -> tuple[Answer, list[Explanation]]:
    question = Question(canonical(meaning), explain=True, **more)
    answer = corpus.searcher.search(scope, question, DIMENSION)
    return answer, explain(corpus.store, scope, answer)


def close(expected: float) -> Any:
    return pytest.approx(expected, abs=1e-5)


def test_no_trace_is_kept_where_nothing_is_to_be_explained(shared: Corpus) -> None:
    answer = shared.searcher.search(ACME, Question(Words("fish")), DIMENSION)
    assert answer.trace is None
    assert explain(shared.store, ACME, answer) == []


def shown(answer: Answer) -> list[Any]:
    return [(hit.head.key, hit.score, [(each.score, each.spans) for each in hit.passages]) for hit in answer.hits]


@pytest.mark.parametrize("meaning", [Words("red fish in the river"), Words("?!"), Example("wiki", "fish3")])
@pytest.mark.parametrize("mode", list(Mode))
def test_explaining_changes_no_answer(pond: Corpus, meaning: Meaning, mode: Mode) -> None:
    answer, _ = ask(pond, meaning, mode=mode)
    plain = pond.searcher.search(ACME, Question(meaning, mode), DIMENSION)
    assert shown(answer) == shown(plain)


@pytest.mark.parametrize(
    "meaning", [Words("red fish in the river"), Words("bird"), Words("?!"), Example("wiki", "fish3")]
)
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("by_document", [True, False])
def test_legs_and_what_was_added_are_the_score(pond: Corpus, meaning: Meaning, mode: Mode, by_document: bool) -> None:
    answer, explanations = ask(pond, meaning, mode=mode, by_document=by_document, limit=20)
    assert len(explanations) == len(answer.hits)
    ranks = []
    for hit, told in zip(answer.hits, explanations, strict=True):
        assert told.score == close(hit.score)
        assert sum(leg.contribution for leg in told.legs) + sum(each.amount for each in told.added) == close(hit.score)
        for leg in told.legs:
            assert leg.contribution == close(leg.weight * leg.normalised)
        assert sum(leg.weight for leg in told.legs) == close(1)
        assert [each.step for each in told.added] == (["feedback", "neighbours"] if mode is Mode.HYBRID else [])
        ranks.append(told.rank)
        assert 1 <= told.rank <= told.candidates
    assert ranks == sorted(ranks)
    if answer.hits:
        assert any(each.amount for told in explanations for each in told.added) is (mode is Mode.HYBRID)


def test_a_leg_s_score_is_the_index_s_own_and_its_rank_counts_the_candidates(pond: Corpus) -> None:
    answer, explanations = ask(pond, Words("red fish in the river"), limit=40, by_document=False)
    assert answer.trace is not None
    for name in ("dense", "spans", "lexical"):
        told = [next(leg for leg in each.legs if leg.leg == name) for each in explanations]
        scores = np.array([leg.score for leg in told])
        assert [leg.rank for leg in told] == [1 + int((scores > score).sum()) for score in scores]
    dense = {
        hit.passages[0].passage.id: hit.score
        for hit in ask(pond, Words("red fish in the river"), limit=40, by_document=False, mode=Mode.DENSE)[0].hits
    }
    for hit, each in zip(answer.hits, explanations, strict=True):
        assert each.legs[0].score == pytest.approx(dense[hit.passages[0].passage.id], abs=1e-3)


def test_without_a_leg_the_others_alone_decide(pond: Corpus) -> None:
    """All later steps left out of both sides: the rank without a leg is the rank of the other legs' sum."""
    answer, explanations = ask(pond, Words("red fish in the river"), limit=40, by_document=False)
    assert answer.trace is not None
    answer.trace.stages.clear()
    answer.trace.questions = answer.trace.questions[:1]
    explanations = explain(pond.store, ACME, answer)
    assert explanations[0].without.keys() == {"dense", "spans", "lexical"}
    for left_out in ("dense", "spans", "lexical"):
        rest = [sum(leg.normalised for leg in each.legs if leg.leg != left_out) for each in explanations]
        expected = [1 + sum(other > score + 1e-5 for other in rest) for score in rest]
        most = [1 + sum(other > score - 1e-5 for other in rest) for score in rest]
        found = [each.without[left_out] for each in explanations]
        assert all(low <= rank <= high for low, rank, high in zip(expected, found, most, strict=True))


def test_without_its_only_leg_a_passage_has_no_rank(pond: Corpus) -> None:
    assert ask(pond, Words("red fish"), mode=Mode.LEXICAL)[1][0].without == {}


def logistic(x: float) -> float:
    return 1 / (1 + exp(-x))


def check_grades(part: PartGrade) -> None:
    """Each grade follows from those below it, by the laws of the query language."""
    inner = [each.grade for each in part.parts]
    match part.meaning:
        case All():
            assert part.grade == close(prod(inner) ** (1 / len(inner)))
        case AnyOf():
            assert part.grade == close(1 - prod(1 - each for each in inner) ** (1 / len(inner)))
        case Not():
            assert part.grade == close(1 - inner[0])
        case _:
            assert part.grade == close(logistic(sum(leg.contribution for leg in part.legs)) if part.legs else 0.5)
    for each in part.parts:
        check_grades(each)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "meaning",
    [
        All((Words("red fish"), Not(Words("river")))),
        AnyOf((Words("bird"), All((Words("old fish"), Words("lake"))))),
        All((Example("wiki", "fish3"), Not(Example("wiki", "bird2")), Words("of the"))),
    ],
)
def test_a_set_of_meanings_is_graded_by_its_parts(pond: Corpus, mode: Mode, meaning: Meaning) -> None:
    answer, explanations = ask(pond, meaning, mode=mode)
    assert answer.hits
    for hit, told in zip(answer.hits, explanations, strict=True):
        assert told.parts is not None
        assert told.parts.meaning == canonical(meaning)
        assert told.parts.grade == told.score == close(hit.score)
        assert (list(told.legs), list(told.added)) == ([], [])
        check_grades(told.parts)
        assert told.without.keys() == ({"dense", "spans", "lexical"} if mode is Mode.HYBRID else set())


def test_a_set_of_which_words_ask_for_one_part_only_is_that_part(pond: Corpus) -> None:
    answer, explanations = ask(pond, All((Words("red fish"), Words("of the"))), mode=Mode.LEXICAL)
    assert explanations[0].parts is None
    assert explanations[0].legs[0].contribution == close(answer.hits[0].score)


def test_words_of_the_query_are_named_where_they_stand(pond: Corpus) -> None:
    answer, explanations = ask(pond, Words("Fishes swimming, in rivers"), limit=3)
    for hit, told in zip(answer.hits, explanations, strict=True):
        passage = hit.passages[0].passage
        assert all(
            passage.text[word.start - passage.start : word.end - passage.start] == word.text for word in told.words
        )
        assert [word.text for word in told.words][:2] == ["fish", "swims"]
        assert told.title_words == ["fish"]


def test_feedback_names_the_words_that_it_added(pond: Corpus) -> None:
    _, explanations = ask(pond, Words("red fish"))
    added = explanations[0].added[0]
    assert added.step == "feedback"
    assert "swims" in added.words
    assert not {"red", "fish"} & set(added.words)
    _, explanations = ask(pond, Words("red fish"), mode=Mode.DENSE)
    assert not explanations[0].added


def test_feedback_names_no_word_of_a_document_that_the_caller_may_not_see(empty: Corpus) -> None:
    """The head says who sees a document; its passages may lag behind."""
    secret = [document(f"secret{i}", ["Red fish xylophone."], version=1) for i in range(6)]
    empty.put(*secret, *(document(f"open{i}", [f"Some {KINDS[1 + i % 7]} fish."]) for i in range(24)))
    assert any("xylophone" in each.words for told in ask(empty, Words("red fish"))[1] for each in told.added)
    heads = empty.store.heads([each.key for each in secret])
    empty.store.flip_heads([replace(head, version=2, groups=("staff",)) for head in heads.values()])
    for scope in (Scope("acme", ("guest",)), Scope("acme", ())):
        _, told = ask(empty, Words("red fish"), scope)
        assert all("xylophone" not in each.words for hit in told for each in hit.added)
        assert told
    empty.store.flip_heads([replace(head, version=3, state=State.DELETED) for head in heads.values()])
    _, told = ask(empty, Words("red fish"))
    assert all("xylophone" not in each.words for hit in told for each in hit.added)


MIXED = st.text(st.sampled_from("abcXYZ 012-.'éß①ｆ魚鳥は東京\u0301\u3099ไทย\n"), max_size=60)


@given(MIXED)
def test_the_words_of_a_text_are_exact_and_hold_its_terms(written: str) -> None:
    found = list(words(written))
    assert all(0 <= start < end <= len(written) for start, end, _ in found)
    ids = set().union(*(ids for _, _, ids in found))
    composed = "\u0301" not in written and "\u3099" not in written
    if composed:  # marks that stand where none can are told apart
        assert ids == set(document_terms(written).indices.tolist())


@pytest.mark.parametrize(
    ("query", "written", "expected"),
    [
        ("email", "The e-mail, sent.", ["e-mail"]),
        ("cafe\u0301s", "Two cafés and a cafe\u0301.", ["cafés", "cafe\u0301"]),
        ("東京", "私は東京都に住む。", ["東京"]),
        ("ﬁsh", "A fish.", ["fish"]),
        ("fish", "A ﬁsh.", ["ﬁsh"]),
        ("1200", "About 1,200 or so.", ["1,200"]),
    ],
)
def test_a_word_is_found_however_it_is_written(query: str, written: str, expected: list[str]) -> None:
    wanted = set(query_terms(query).indices.tolist())
    assert [written[start:end] for start, end, ids in words(written) if ids & wanted] == expected


def test_readable_words_come_in_the_order_of_their_terms() -> None:
    ids = [int(query_terms(word).indices[0]) for word in ("swim", "river", "whale", "fish")]
    assert readable(ids, ["Swimming fish swim", "RIVERS and fishes, a river"]) == ["swim", "river", "fish"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    corpus.put(*default(FISH, *(document(f"fish{i}", [text(i)], title="Of fish") for i in range(30))))
    api = Api(corpus)
    with api.client:
        yield api
    corpus.store.close()


def test_a_search_explains_its_hits_where_asked(api: Api) -> None:
    assert api.search("red fish")["hits"][0]["explanation"] is None
    hit = api.search("red fish", explain=True)["hits"][0]
    told = hit["explanation"]
    assert sum(leg["contribution"] for leg in told["legs"]) + sum(each["amount"] for each in told["added"]) == close(
        hit["score"]
    )
    assert {leg["leg"] for leg in told["legs"]} == told["without"].keys() == {"dense", "spans", "lexical"}
    assert (told["rank"], told["parts"]) == (1, None)
    assert [word["text"] for word in told["words"]] == ["red", "fish"]


def test_parts_are_named_as_the_query_names_them(api: Api) -> None:
    query = {"all": ["red fish", {"unlike": {"source": "wiki", "id": "fish3", "start": 2, "end": 9}}]}
    parts = api.search(query, explain=True)["hits"][0]["explanation"]["parts"]
    assert (parts["kind"], {part["kind"] for part in parts["parts"]}) == ("all", {"not", "text"})
    by_kind = {part["kind"]: part for part in parts["parts"]}
    assert by_kind["text"]["text"] == "red fish"
    (inner,) = by_kind["not"]["parts"]
    assert (inner["kind"], inner["like"]) == ("like", {"source": "wiki", "id": "fish3", "start": 2, "end": 9})


def test_similar_is_the_query_like(api: Api) -> None:
    for to in ({"source": "wiki", "id": "fish3"}, {"source": "wiki", "id": "fish3", "start": 2, "end": 9}):
        options = {"limit": 7, "filter": {"not": {"field": "id", "eq": "fish11"}}, "explain": True}
        similar = api.client.post("/v1/similar", json={"to": to} | options)
        assert similar.status_code == 200, similar.text
        liked = api.search({"like": to}, **options)
        assert similar.json()["hits"] == liked["hits"]
        assert len(liked["hits"]) == 7


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.to"),
        ({"to": "fish"}, "body.to"),
        ({"to": {"source": "wiki", "id": "fish3", "start": 2}}, "body.to"),
        ({"to": {"source": "wiki", "id": "fish3"}, "limit": 101}, "body.limit"),
        ({"to": {"source": "wiki", "id": "fish3"}, "query": "fish"}, "body.query"),
        ({"to": {"source": "wiki", "id": "fish3"}, "filter": {"field": "source", "eq": "x"}}, "body.filter"),
    ],
)
def test_a_bad_question_for_similar_ones_is_refused_by_its_part(api: Api, body: Any, field: str) -> None:
    assert is_problem(api.client.post("/v1/similar", json=body), 422, field)


@pytest.mark.parametrize("part", [{"id": "nowhere"}, {"id": "fish3", "start": 9000, "end": 9001}])
def test_what_does_not_exist_has_nothing_similar(api: Api, part: dict[str, Any]) -> None:
    assert is_problem(api.client.post("/v1/similar", json={"to": {"source": "wiki"} | part}), 404, "body.to")


def test_equals_have_the_same_rank_however_their_sums_were_rounded() -> None:
    scores = np.array([0.7, np.nextafter(np.float32(0.7), np.float32(1)), 0.2, 20.0], np.float32)
    assert [explanation._rank(scores, place) for place in range(4)] == [2, 2, 4, 1]
