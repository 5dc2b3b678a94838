from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import InvalidVectors
from spanstream.encoder.hashing import HashEncoder
from spanstream.gateway.found import Answer
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.search import Searcher
from spanstream.store.points import State
from spanstream.store.queries import Match, Query, Range, Scope
from spanstream.store.store import Store
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus, document
from tests.unit.indexer.documents import DIMENSION, ENCODER, Document, deleted

ACME = Scope("acme")


def ask(corpus: Corpus, text: str, scope: Scope = ACME, **more: object) -> Answer:
    return corpus.searcher.search(scope, Question(Words(text), **more), DIMENSION)  # type: ignore[arg-type]


def ids(answer: Answer) -> list[str]:
    return [hit.head.key.id for hit in answer.hits]


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_finds_the_document_that_shares_words(shared: Corpus, mode: Mode) -> None:
    assert ids(ask(shared, "red fish swims", mode=mode))[0] == "fish"
    assert ids(ask(shared, "bird flies south", mode=mode))[0] == "bird"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("written", [FISH, BIRD, TREE])
def test_text_between_a_span_s_offsets_is_the_span(shared: Corpus, mode: Mode, written: Document) -> None:
    answer = ask(shared, written.text, mode=mode, spans_per_passage=3)
    texts = {document.key: document.text for document in (FISH, BIRD, TREE)}
    checked = 0
    for hit in answer.hits:
        text = texts[hit.head.key]
        for found in hit.passages:
            assert text[found.passage.start : found.passage.end] == found.passage.text
            for span in found.spans:
                assert text[span.start : span.end] == span.text
                checked += 1
    assert checked


@pytest.mark.parametrize("mode", list(Mode))
def test_best_span_is_the_sentence_that_answers(shared: Corpus, mode: Mode) -> None:
    best = ask(shared, "returns in spring", mode=mode).hits[0].passages[0]
    assert [span.text for span in best.spans] == ["It returns in spring."]


def test_hits_are_documents_with_their_best_passages_first(shared: Corpus) -> None:
    answer = ask(shared, "fish sleep at night")
    first = answer.hits[0]
    assert first.head.key.id == "fish"
    assert [found.passage.ordinal for found in first.passages] == [1, 0]
    assert first.score == first.passages[0].score >= first.passages[1].score
    assert ids(answer) == list(dict.fromkeys(ids(answer)))


def test_without_grouping_every_passage_is_a_hit(shared: Corpus) -> None:
    answer = ask(shared, "fish", by_document=False)
    assert len(answer.hits) == 5
    assert all(len(hit.passages) == 1 for hit in answer.hits)


def test_limits_hold(shared: Corpus) -> None:
    answer = ask(shared, "fish", limit=1, passages_per_document=1, spans_per_passage=0)
    assert len(answer.hits) == len(answer.hits[0].passages) == 1
    assert answer.hits[0].passages[0].spans == ()


@pytest.mark.parametrize("mode", list(Mode))
def test_nothing_is_found_in_an_empty_index(nothing: Corpus, mode: Mode) -> None:
    assert ask(nothing, "anything", mode=mode) == Answer([], partial=False)


def test_words_of_no_weight_find_nothing_lexically_and_are_no_error(shared: Corpus) -> None:
    assert ask(shared, "the of and", mode=Mode.LEXICAL).hits == []
    assert ask(shared, "?!").hits


def test_single_candidate_has_a_finite_score(empty: Corpus) -> None:
    empty.put(document("only", ["One sentence."]))
    assert np.isfinite([hit.score for hit in ask(empty, "one").hits]).all()


def test_passages_without_a_head_are_not_shown(corpus: Corpus) -> None:
    corpus.write_without_head([document("half", ["A red fish swims."], ["More."], version=1)])
    assert "half" not in ids(ask(corpus, "red fish swims"))


@pytest.mark.promise("I7")
def test_passages_that_the_head_does_not_name_are_not_shown(corpus: Corpus) -> None:
    newer = document("fish", ["A green fish."], ["Quite green."], version=2)
    corpus.write_without_head([newer])
    answer = ask(corpus, "a green fish")
    assert {found.passage.version for hit in answer.hits for found in hit.passages} == {1}
    corpus.put(newer)
    fish = next(hit for hit in ask(corpus, "green fish").hits if hit.head.key.id == "fish")
    assert {found.passage.version for found in fish.passages} == {2}


def test_unchanged_version_still_shows_its_passages(corpus: Corpus) -> None:
    corpus.index(replace(FISH, version=9).records(unchanged=True))
    first = ask(corpus, "red fish swims").hits[0]
    assert (first.head.key.id, first.head.version, first.passages[0].passage.version) == ("fish", 9, 1)


def test_deleted_document_is_gone(corpus: Corpus) -> None:
    corpus.index([deleted(FISH.key, 2)])
    assert "fish" not in ids(ask(corpus, "red fish swims"))
    assert corpus.store.heads([FISH.key])[FISH.key].state is State.DELETED


def test_tombstone_hides_passages_that_are_not_deleted_yet(corpus: Corpus) -> None:
    head = corpus.store.heads([FISH.key])[FISH.key]
    corpus.store.flip_heads([replace(head, state=State.DELETED)])
    assert "fish" not in ids(ask(corpus, "red fish swims"))


@pytest.mark.promise("I16")
def test_tenants_do_not_see_each_other(corpus: Corpus) -> None:
    corpus.put(document("foreign", ["The red fish swims."], tenant="other"))
    assert "foreign" not in ids(ask(corpus, "red fish swims"))
    assert ids(ask(corpus, "red fish swims", Scope("other"))) == ["foreign"]


class Forgetful:
    """A store that looks among another tenant's passages, whoever asks."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store, self._tenant = store, tenant

    def rank(self, queries: Sequence[Query]) -> list[list[tuple[str, float]]]:
        return self._store.rank([replace(each, scope=replace(each.scope, tenant=self._tenant)) for each in queries])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_what_a_store_finds_of_another_tenant_is_not_shown(corpus: Corpus) -> None:
    corpus.put(document("foreign", ["The red fish swims."], tenant="other"))
    store: Any = Forgetful(corpus.store, "other")
    question = Question(Words("red fish swims"))
    assert ids(Searcher(store, ENCODER, {}).search(Scope("other"), question, DIMENSION)) == ["foreign"]
    assert ids(Searcher(store, ENCODER, {}).search(ACME, question, DIMENSION)) == []


def test_groups_admit_members_only(empty: Corpus) -> None:
    empty.put(document("open", ["red fish"]), document("staff", ["red fish"], groups=("staff",)))
    assert set(ids(ask(empty, "red fish"))) == {"open", "staff"}
    assert set(ids(ask(empty, "red fish", Scope("acme", ("staff", "x"))))) == {"open", "staff"}
    assert ids(ask(empty, "red fish", Scope("acme", ("guest",)))) == ["open"]
    assert ids(ask(empty, "red fish", Scope("acme", ()))) == ["open"]


def test_group_is_the_head_s_even_where_a_passage_says_otherwise(empty: Corpus) -> None:
    shown = document("doc", ["red fish"])
    empty.put(shown)
    head = empty.store.heads([shown.key])[shown.key]
    empty.store.flip_heads([replace(head, version=2, groups=("staff",))])
    assert ids(ask(empty, "red fish", Scope("acme", ("guest",)))) == []
    assert ids(ask(empty, "red fish", Scope("acme", ("staff",)))) == ["doc"]


def test_filter_narrows(shared: Corpus) -> None:
    assert set(ids(ask(shared, "fish", where=Match("source", ("wiki",))))) == {"fish", "bird"}
    assert ids(ask(shared, "fish", where=Range("metadata.year", gte=2000))) == ["bird"]


def test_short_answer_is_filled_up_from_behind_a_document_of_many_passages(empty: Corpus) -> None:
    empty.put(document("long", *[["fish fish fish."]] * 150), document("short", ["A fish among others."]))
    answer = ask(empty, "fish", limit=2)
    assert (ids(answer), answer.partial) == (["long", "short"], False)


def test_answer_that_stays_short_says_so(empty: Corpus) -> None:
    empty.put(document("long", *[["fish fish fish."]] * 1700))
    answer = ask(empty, "fish", limit=2)
    assert (ids(answer), answer.partial) == (["long"], True)


class OtherSize(HashEncoder):
    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        return [replace(each, whole=each.whole[:8]) for each in super().encode(texts)]


def test_vector_of_the_wrong_size_is_refused(shared: Corpus) -> None:
    searcher = Searcher(shared.store, OtherSize(DIMENSION), {})
    with pytest.raises(InvalidVectors):
        searcher.search(ACME, Question(Words("fish")), DIMENSION)
