"""A matrix behind an encoder, learnt on vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.representations.training.objective import Document
from spanstream.representations.training.projection import Examples, Projection, ask, learn, turned

FEW = Projection(steps=60, learning_rate=2e-2)


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def examples(own: bool = True) -> Examples:
    """Texts of 8 signals beside 8 louder numbers of chance; of what is held out only some belong together unless `own`."""
    chance = np.random.default_rng(7)
    signals = chance.standard_normal((80, 8))
    passages, sentences = (unit(np.hstack([signals, 2 * chance.standard_normal((80, 8))])) for _ in range(2))
    whose = np.arange(240) % 80
    queries = unit(np.hstack([signals[whose], 2 * chance.standard_normal((240, 8))]))
    held_out = np.arange(240) >= 180
    said = np.where(held_out & (not own), (whose + 40) % 80, whose)
    return Examples(queries, said, said, passages, sentences, held_out)


def found(given: Examples, matrix: NDArray[np.float32]) -> float:
    """The share of the held-out queries whose own passage is the nearest."""
    apart = given.held_out
    nearest = ((given.queries[apart] @ matrix) @ unit(given.passages @ matrix).T).argmax(axis=1)
    return float((nearest == given.own_passages[apart]).mean())


def test_it_learns_what_texts_have_in_common() -> None:
    given = examples()
    learnt = learn(given, FEW, seed=0)
    assert learnt.kept > 0
    assert learnt.losses[1] < learnt.losses[0]
    assert found(given, learnt.matrix) > found(given, np.eye(16, dtype=np.float32)) + 0.2


def test_the_same_input_gives_the_same_matrix_and_another_seed_another_one() -> None:
    given = examples()
    first, again, other = (learn(given, FEW, seed).matrix for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_turning_changes_no_cosine_and_puts_first_what_vectors_have_most_of() -> None:
    """No basis leaves less out of the first k, the plain one and chance among them; the mean is no exception."""
    given = examples()
    texts = np.concatenate([given.passages, given.sentences])
    offset = unit(texts + np.full(16, 0.4))  # a mean that all share, which a centred basis could put last
    chance = np.random.default_rng(3)
    matrix = (np.eye(16) + 0.2 * chance.standard_normal((16, 16))).astype(np.float32)
    matrix[:, -1] = 0  # of a rank that is less
    before, rotated = unit(offset @ matrix), turned(matrix, offset)
    after = unit(offset @ rotated)
    assert rotated.dtype == np.float32
    assert after @ after.T == pytest.approx(before @ before.T, abs=1e-5)
    held = np.square(after.astype(np.float64)).sum(axis=0)
    assert (np.diff(held) <= 1e-6).all()
    others = [np.eye(16), np.linalg.qr(chance.standard_normal((16, 16)))[0]]
    others.append(np.linalg.eigh(np.cov(before.T))[1][:, ::-1])
    for basis in others:
        assert (np.cumsum(held) >= np.cumsum(np.square(before @ basis).sum(axis=0)) - 1e-4).all()
    assert np.array_equal(turned(matrix, offset), rotated)
    assert abs(after.mean(axis=0)[0]) > 0.3


def test_what_is_learnt_is_turned() -> None:
    given = examples()
    learnt = learn(given, FEW, seed=0)
    texts = np.concatenate([given.passages, given.sentences])
    found = unit(texts @ learnt.matrix)
    moments = found.T.astype(np.float64) @ found
    assert np.abs(moments - np.diag(np.diag(moments))).max() < 1e-4
    assert (np.diff(np.diag(moments)) <= 0).all()


def test_what_does_not_hold_is_not_kept() -> None:
    learnt = learn(examples(own=False), FEW, seed=0)
    assert learnt.kept == 0
    assert learnt.losses[0] == learnt.losses[1]
    assert np.array_equal(learnt.matrix, np.eye(16, dtype=np.float32))


def test_the_loss_is_that_of_passages_and_of_sentences() -> None:
    """Two of each on the axes, queries on their own: log(1 + e^-1/t) for each, the sentences' weighted."""
    axes = np.eye(2, dtype=np.float32)
    own = np.array([0, 1, 0, 1])
    given = Examples(axes[own], own, own, axes, axes, np.array([False, False, True, True]))
    settings = Projection(steps=0, temperature=0.5, sentences=3.0)
    assert learn(given, settings, seed=0).losses[0] == pytest.approx(4 * np.log(1 + np.exp(-1 / 0.5)), abs=1e-6)


def test_queries_are_words_of_the_sentences_that_they_name(documents: list[Document]) -> None:
    settings = Projection(queries=2)
    asked = ask(documents, settings, seed=3)
    every = [(i, document.text[start:end]) for i, document in enumerate(documents) for start, end in document.sentences]
    assert len(asked.words) == 2 * len(documents)
    for words, passage, number in zip(asked.words, asked.passages, asked.sentences, strict=True):
        owner, sentence = every[number]
        assert owner == passage
        assert set(words.split()) <= set(sentence.split())
    assert 0 < asked.held_out.sum() < len(asked.words) / 2
    assert ask(documents, settings, seed=3).words == asked.words
    assert ask(documents, settings, seed=4).words != asked.words
    assert len(ask(documents, replace(settings, queries=9), seed=3).words) == 3 * len(documents)  # all that there are
