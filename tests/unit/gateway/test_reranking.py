from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.gateway.blend import COMPONENTS, Blend, InvalidWeights, read_weights
from spanstream.gateway.boosts import Boost
from spanstream.gateway.explaining import explain
from spanstream.gateway.found import Answer
from spanstream.gateway.fusion import Fusion
from spanstream.gateway.late_interaction import LateInteraction
from spanstream.gateway.meanings import All, Meaning, Not, Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.reranking import CrossEncoding, NoSuchStage, Rerank, Rescorer, Stage
from spanstream.gateway.search import Searcher
from spanstream.store.points import Passage
from spanstream.store.queries import Match, Scope
from tests.unit.gateway.corpus import Corpus, document
from tests.unit.indexer.documents import DIMENSION, ENCODER

ACME = Scope("acme")
DOCUMENTS = [document(f"d{number}", [f"fish number {number} and fish"], [f"bird {number} here"]) for number in range(9)]


class Told:
    """Scores passages by a word of theirs."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.asked: list[tuple[str, int]] = []

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append((query, len(texts)))
        return np.array([float(self._word in text) for text in texts], np.float32)

    def close(self) -> None: ...


class Away:
    def __call__(
        self, texts: Sequence[str], passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        raise EncoderUnavailable("no answer")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus(tmp_path)
    made.put(*DOCUMENTS)
    return made


def ask(corpus: Corpus, rescorer: Rescorer, meaning: Meaning, **more: object) -> Answer:
    searcher = Searcher(corpus.store, ENCODER, {Stage.CROSS: rescorer})
    rerank = Rerank(Stage.CROSS, depth=int(more.pop("depth", 20)), weight=float(more.pop("weight", 1.0)))  # type: ignore[call-overload]
    return searcher.search(ACME, Question(meaning, rerank=rerank, **more), DIMENSION)  # type: ignore[arg-type]


def ids(answer: Answer) -> list[str]:
    return [hit.head.key.id for hit in answer.hits]


def test_the_stage_decides_the_order_where_it_has_all_the_weight(corpus: Corpus) -> None:
    answer = ask(corpus, CrossEncoding(Told("number 7")), Words("fish"))
    assert ids(answer)[0] == "d7"
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    assert all(hit.score == hit.passages[0].score for hit in answer.hits)


def test_a_stage_of_no_weight_changes_nothing(corpus: Corpus) -> None:
    plain = corpus.searcher.search(ACME, Question(Words("fish number 3")), DIMENSION)
    assert ids(ask(corpus, CrossEncoding(Told("x")), Words("fish number 3"), weight=0.0)) == ids(plain)


def test_a_hit_comes_up_from_behind_the_limit(corpus: Corpus) -> None:
    plain = ids(corpus.searcher.search(ACME, Question(Words("fish")), DIMENSION))
    last = plain[-1][1:]
    assert ids(ask(corpus, CrossEncoding(Told(f"number {last}")), Words("fish"), limit=1)) == [plain[-1]]


def test_only_the_best_passages_are_scored_and_the_rest_stays_behind_them(corpus: Corpus) -> None:
    told = Told("number")
    plain = ids(corpus.searcher.search(ACME, Question(Words("fish number 3")), DIMENSION))
    answer = ask(corpus, CrossEncoding(told), Words("fish number 3"), depth=2)
    assert told.asked == [("fish number 3", 2)]
    assert ids(answer)[2:] == plain[2:]
    scores = [found.score for hit in answer.hits for found in hit.passages]
    assert sorted(scores, reverse=True)[:2] == [answer.hits[0].score, answer.hits[1].score]


def test_each_part_of_a_query_is_scored_and_what_is_not_wanted_counts_against(corpus: Corpus) -> None:
    told = Told("number 4")
    answer = ask(corpus, CrossEncoding(told), All((Words("fish"), Not(Words("four")))))
    assert {query for query, _ in told.asked} == {"fish", "four"}
    assert len(ids(answer)) == 9


def test_an_answer_goes_out_as_it_is_while_the_stage_does_not_answer(corpus: Corpus) -> None:
    answer = ask(corpus, Away(), Words("fish number 3"))
    assert ids(answer) == ids(corpus.searcher.search(ACME, Question(Words("fish number 3")), DIMENSION))
    assert answer.unfinished == ("rerank",)


def test_a_stage_that_is_not_there_is_refused(corpus: Corpus) -> None:
    with pytest.raises(NoSuchStage):
        corpus.searcher.search(ACME, Question(Words("fish"), rerank=Rerank(Stage.CROSS, 5, 0.5)), DIMENSION)


class PerWord:
    """A vector per word, so that cosines are 1 or 0."""

    WORDS = ("red", "fish", "swims", "bird")

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        units = np.eye(len(self.WORDS) + 1, dtype=np.float32)
        found = []
        for text in texts:
            words = [text.text[start:end].lower() for start, end in text.ranges.tolist()]
            rows = [self.WORDS.index(word) if word in self.WORDS else len(self.WORDS) for word in words]
            found.append(Encoded(units[0], units[rows], np.ones(len(rows), np.int32)))
        return found

    def info(self) -> object:
        return type("Info", (), {"dimension": len(self.WORDS) + 1})


def test_late_interaction_is_the_mean_of_each_words_best_cosine(corpus: Corpus) -> None:
    passages = [passage_of("The red fish swims."), passage_of("A bird."), passage_of("")]
    scores = LateInteraction(PerWord())(["red bird", "the fish"], passages, {})  # type: ignore[arg-type]
    np.testing.assert_allclose(scores, [[0.5, 0.5, 0], [1, 0, 0]], atol=1e-6)


def test_late_interaction_reranks(corpus: Corpus) -> None:
    question = Question(Words("bird 5"), rerank=Rerank(Stage.LATE, 20, 1.0), mode=Mode.DENSE)
    assert ids(corpus.searcher.search(ACME, question, DIMENSION))[0] == "d5"


def passage_of(text: str) -> Passage:
    none = np.zeros((0, 2), np.int32)
    key = DOCUMENTS[0].key
    return Passage(key, 1, b"", 0, 0, len(text), text, "", {}, (), 1, none)


def test_a_blend_of_equal_weights_is_the_ranking_and_others_change_it(corpus: Corpus) -> None:
    plain = ids(corpus.searcher.search(ACME, Question(Words("fish number 3")), DIMENSION))
    assert ids(ask(corpus, Blend({}), Words("fish number 3"))) == plain
    upside_down = dict.fromkeys(COMPONENTS, -1.0)
    assert ids(ask(corpus, Blend(upside_down), Words("fish number 3"))) != plain


def test_a_blend_leaves_a_set_of_meanings_as_it_is(corpus: Corpus) -> None:
    meaning = All((Words("fish"), Words("number 3")))
    plain = ids(corpus.searcher.search(ACME, Question(meaning), DIMENSION))
    assert ids(ask(corpus, Blend({"dense": -1.0}), meaning)) == plain


@pytest.mark.parametrize("fusion", Fusion)
def test_an_explained_score_is_a_sum_behind_a_rerank_too(corpus: Corpus, fusion: Fusion) -> None:
    searcher = Searcher(corpus.store, ENCODER, {Stage.CROSS: CrossEncoding(Told("number 7"))})
    boosts = (Boost(Match("id", ("d2",)), 3.0),)
    rerank = Rerank(Stage.CROSS, 3, 0.5)
    question = Question(Words("fish number 3"), fusion=fusion, rerank=rerank, boosts=boosts, explain=True)
    answer = searcher.search(ACME, question, DIMENSION)
    for hit, told in zip(answer.hits, explain(corpus.store, ACME, answer), strict=True):
        total = sum(leg.contribution for leg in told.legs) + sum(added.amount for added in told.added)
        assert total == pytest.approx(hit.score, abs=1e-4) == told.score
        assert [added.step for added in told.added][-2:] == ["recency and boosts", "rerank"]
    assert [told.rank for told in explain(corpus.store, ACME, answer)] == sorted(
        told.rank for told in explain(corpus.store, ACME, answer)
    )


def test_weights_are_those_that_tune_writes(tmp_path: Path) -> None:
    file = tmp_path / "blend.json"
    file.write_text(json.dumps({"weights": {"dense": 0.5, "feedback": 2}}))
    assert read_weights(file) == {"dense": 0.5, "feedback": 2.0}
    for wrong in (
        "",
        "[]",
        '{"weights": {"nothing": 1}}',
        '{"weights": {"dense": "x"}}',
        '{"weights": {"dense": NaN}}',
    ):
        file.write_text(wrong)
        with pytest.raises(InvalidWeights):
            read_weights(file)
