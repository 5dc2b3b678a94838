"""The second question and the evening out, each held against a naive computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spanstream.gateway import feedback, neighbours
from spanstream.gateway.asking import Asked
from spanstream.gateway.pool import Pool
from spanstream.store.points import Sparse, Vectors

DIMENSION = 8


def sparse(weights: dict[int, float]) -> Sparse:
    ids = sorted(weights)
    return Sparse(np.array(ids, np.uint32), np.array([weights[id] for id in ids], np.float32))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def pool(count: int, seed: int = 0) -> Pool:
    chance = np.random.default_rng(seed)
    return Pool.of(
        [
            Vectors(
                unit(chance.standard_normal(DIMENSION).astype(np.float32)),
                sparse({int(term): 1.0 for term in chance.choice(30, chance.integers(0, 9), replace=False)}),
            )
            for _ in range(count)
        ]
    )


def falling(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.sort(np.random.default_rng(seed).standard_normal(count).astype(np.float32))[::-1]


def test_a_pool_has_each_term_once_and_zero_where_a_passage_lacks_it() -> None:
    made = Pool.of([Vectors(np.ones(2, np.float32), sparse(each)) for each in ({7: 1.5, 3: 2.0}, {}, {7: 0.5})])
    assert made.terms.tolist() == [3, 7]
    assert made.weights.tolist() == [[2.0, 1.5], [0.0, 0.0], [0.0, 0.5]]
    assert made.rarity == pytest.approx(np.log1p([2.5 / 1.5, 1.5 / 2.5]))


def test_the_second_question_lies_between_the_first_and_its_best_answers() -> None:
    best = pool(40)
    question = unit(np.arange(1, DIMENSION + 1, dtype=np.float32))
    again = feedback.second(Asked(question, sparse({1: 1.0})), best, falling(40))
    assert again is not None
    vector = again.vector
    assert vector is not None
    trust = np.exp((falling(40)[: feedback.ANSWERS] - falling(40)[0]) / feedback.TEMPERATURE)
    mean = (trust[:, None] * best.dense[: feedback.ANSWERS]).sum(0) / trust.sum()
    assert vector == pytest.approx(unit(question + feedback.PULL * unit(mean)), abs=1e-5)
    assert vector @ unit(mean) > question @ unit(mean)


def test_the_second_question_keeps_its_terms_and_gets_telling_ones_of_the_same_weight() -> None:
    passages = [
        Vectors(unit(np.eye(40, dtype=np.float32)[i]), sparse({1: 1.0, 2: 1.0} if i < 6 else {9: 1.0}))
        for i in range(40)
    ]
    again = feedback.second(
        Asked(passages[0].dense, sparse({1: 3.0, 5: 1.0})), Pool.of(passages), np.zeros(40, np.float32)
    )
    assert again is not None
    assert again.terms.indices.tolist() == [1, 2, 5]
    assert again.terms.values == pytest.approx([3.0 + 2.0, 2.0, 1.0])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_candidates_teach_nothing(count: int) -> None:
    assert feedback.second(Asked(pool(1).dense[0], sparse({1: 1.0})), pool(count), falling(count)) is None


def test_a_question_without_terms_gets_none() -> None:
    again = feedback.second(Asked(pool(1).dense[0], sparse({})), pool(40), falling(40))
    assert again is not None
    assert len(again.terms.indices) == 0


def test_passages_without_any_term_are_no_trouble() -> None:
    bare = Pool.of([Vectors(vector, sparse({})) for vector in pool(40).dense])
    again = feedback.second(Asked(bare.dense[0], sparse({4: 1.0})), bare, falling(40))
    assert again is not None
    assert (again.terms.indices.tolist(), again.terms.values.tolist()) == ([4], [1.0])
    assert np.isfinite(neighbours.evened(falling(40), bare)).all()


def naive(scores: NDArray[np.float32], best: Pool) -> list[float]:
    count = min(neighbours.NEIGHBOURS, len(scores) // 8)
    told = best.weights * best.rarity
    told = told / np.maximum(np.linalg.norm(told, axis=1, keepdims=True), 1e-9)
    evened = []
    for i, own in enumerate(scores):
        near = [(best.dense[i] @ best.dense[j] + told[i] @ told[j]) / 2 if i != j else 0.0 for j in range(len(scores))]
        chosen = sorted(range(len(scores)), key=lambda j: -near[j])[:count]
        weights = [max(near[j], 0.0) for j in chosen]
        mean = sum(w * scores[j] for w, j in zip(weights, chosen, strict=True)) / max(sum(weights), 1e-9)
        evened.append((neighbours.NEIGHBOURS * own + count * mean) / (neighbours.NEIGHBOURS + count))
    return evened


@pytest.mark.parametrize("count", [8, 20, 64])
def test_scores_are_evened_out_over_the_nearest(count: int) -> None:
    best, scores = pool(count), falling(count)
    assert neighbours.evened(scores, best) == pytest.approx(naive(scores, best), abs=1e-5)


def test_very_few_candidates_keep_their_scores() -> None:
    assert neighbours.evened(falling(7), pool(7)).tolist() == falling(7).tolist()


@given(st.integers(1, 64), st.integers(0, 100), st.floats(-3, 3))
def test_evening_out_keeps_finite_scores_within_their_bounds(count: int, seed: int, shift: float) -> None:
    scores = falling(count, seed) + np.float32(shift)
    evened = neighbours.evened(scores, pool(count, seed))
    assert np.isfinite(evened).all()
    if len(scores) >= 8:
        assert evened.max() <= max(scores.max(), 0) + 1e-4
        assert evened.min() >= min(scores.min(), 0) - 1e-4
