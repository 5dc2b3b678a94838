from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spanstream.gateway.expansion import MAX_CHARACTERS, MAX_TEXTS, NoWriter, Writer, expanded, open_writer
from spanstream.gateway.found import Answer
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.search import Searcher
from spanstream.store.queries import Scope
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus
from tests.unit.indexer.documents import DIMENSION, ENCODER

ACME = Scope("acme")


def flying(query: str) -> Sequence[str]:
    """Writes what the birds' passage says."""
    return ["A bird flies south. It returns in spring."]


def broken(query: str) -> Sequence[str]:
    raise RuntimeError("no model")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus(tmp_path)
    made.put(FISH, BIRD, TREE)
    return made


def ask(corpus: Corpus, writer: Writer | None, *, mode: Mode = Mode.DENSE, expand: bool = True) -> Answer:
    searcher = Searcher(corpus.store, ENCODER, {}, writer=writer)
    return searcher.search(ACME, Question(Words("swallows"), mode=mode, expand=expand), DIMENSION)


def test_what_is_written_finds_what_the_words_do_not(corpus: Corpus) -> None:
    assert ask(corpus, flying).hits[0].head.key.id == "bird"
    assert ask(corpus, flying).hits[0].score > ask(corpus, flying, expand=False).hits[0].score + 0.2


def test_a_writer_that_fails_leaves_the_query_as_it_is_and_the_answer_says_so(corpus: Corpus) -> None:
    plain, answer = ask(corpus, flying, expand=False), ask(corpus, broken)
    assert [hit.score for hit in answer.hits] == [hit.score for hit in plain.hits]
    assert answer.unfinished == ("expand",)


def test_words_alone_are_not_expanded(corpus: Corpus) -> None:
    assert ask(corpus, broken, mode=Mode.LEXICAL).unfinished == ()


def test_without_a_writer_it_is_refused(corpus: Corpus) -> None:
    with pytest.raises(NoWriter):
        ask(corpus, None)


def test_query_and_texts_count_alike_and_empty_or_further_ones_do_not() -> None:
    query = np.eye(DIMENSION, dtype=np.float32)[0]
    one = expanded(query, ["a bird"], ENCODER)
    assert abs(float(np.linalg.norm(one)) - 1) < 1e-5
    np.testing.assert_allclose(expanded(query, ["a bird", "  "], ENCODER), one, atol=1e-6)
    np.testing.assert_array_equal(expanded(query, [], ENCODER), query)
    many = ["a bird"] * MAX_TEXTS
    np.testing.assert_allclose(expanded(query, [*many, "a fish"], ENCODER), expanded(query, many, ENCODER), atol=1e-6)
    long = "a " * MAX_CHARACTERS
    np.testing.assert_allclose(expanded(query, [long + "x"], ENCODER), expanded(query, [long], ENCODER), atol=1e-6)


def test_a_writer_is_named_by_its_path() -> None:
    assert open_writer(f"{__name__}:flying") is flying
    for path in ("nothing", "no.such.module:name", f"{__name__}:nothing", f"{__name__}:ACME"):
        with pytest.raises(ValueError, match="GATEWAY_WRITER"):
            open_writer(path)
