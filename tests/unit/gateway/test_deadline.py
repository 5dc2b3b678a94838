from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.gateway.deadline import Deadline, EncoderLate
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.search import Searcher
from spanstream.store.queries import Scope
from tests.unit.gateway.corpus import Corpus
from tests.unit.indexer.documents import DIMENSION

ACME = Scope("acme")


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Slow(HashEncoder):
    """Answers once it is let."""

    def __init__(self, clock: Clock | None = None, seconds: float = 0.0) -> None:
        super().__init__(DIMENSION)
        self.let = threading.Event()
        self.clock, self.seconds = clock, seconds

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        if self.clock:
            self.clock.now += self.seconds
        else:
            assert self.let.wait(90)
        return super().encode(texts, query=query)


def test_steps_are_allowed_until_the_time_is_over_and_noted_once_after_it() -> None:
    clock = Clock()
    deadline = Deadline(50, clock)
    assert deadline.allows("feedback")
    clock.now += 0.05
    assert [deadline.allows(step) for step in ("neighbours", "spans", "spans")] == [False] * 3
    assert deadline.unfinished == ["neighbours", "spans"]


def test_without_a_deadline_everything_is_allowed_and_the_encoder_is_asked_directly() -> None:
    encoder = HashEncoder(DIMENSION)
    deadline = Deadline()
    with ThreadPoolExecutor(1) as pool:
        assert deadline.within(encoder, pool) is encoder
    assert deadline.allows("refill")
    assert deadline.unfinished == []


def test_an_encoder_that_is_late_is_left_behind() -> None:
    encoder = Slow()
    deadline = Deadline(10)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(EncoderLate):
            deadline.within(encoder, pool).encode([], query=True)
        encoder.let.set()
    assert deadline.unfinished == ["encoder"]


def test_after_the_deadline_the_encoder_is_not_asked_at_all() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.now += 1
    with ThreadPoolExecutor(1) as pool, pytest.raises(EncoderLate):
        deadline.within(Slow(), pool).encode([], query=True)


def test_a_hybrid_search_whose_encoder_is_late_is_ranked_by_words(shared: Corpus) -> None:
    encoder = Slow()
    searcher = Searcher(shared.store, encoder, {})
    answer = searcher.search(ACME, Question(Words("red fish")), DIMENSION, Deadline(50))
    encoder.let.set()
    assert answer.by_words
    assert answer.unfinished[0] == "encoder"
    assert answer.hits[0].head.key.id == "fish"


def test_a_dense_search_whose_encoder_is_late_fails(shared: Corpus) -> None:
    encoder, question = Slow(), Question(Words("red fish"), Mode.DENSE)
    searcher = Searcher(shared.store, encoder, {})
    with pytest.raises(EncoderLate):
        searcher.search(ACME, question, DIMENSION, Deadline(10))
    encoder.let.set()


def test_a_search_after_whose_encoder_no_time_is_left_finds_and_scores_once(shared: Corpus) -> None:
    """The encoder takes all the time by the clock, yet answers: what is known by then is used."""
    clock = Clock()
    searcher = Searcher(shared.store, Slow(clock, seconds=1.0), {})
    answer = searcher.search(ACME, Question(Words("red fish"), limit=2), DIMENSION, Deadline(500, clock))
    assert answer.unfinished == ("feedback", "neighbours", "spans")
    assert not answer.by_words
    assert answer.hits[0].head.key.id == "fish"
    assert not answer.hits[0].passages[0].spans


def test_with_time_enough_nothing_is_unfinished(shared: Corpus) -> None:
    question = Question(Words("red fish"))
    searcher = Searcher(shared.store, HashEncoder(DIMENSION), {})
    assert searcher.search(ACME, question, DIMENSION, Deadline(60_000)).unfinished == ()
