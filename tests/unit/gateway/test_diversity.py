from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway.diversity import diverse

NONE = np.zeros(0, bool)


def hits(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, 6)).astype(np.float32)
    scores = np.sort(rng.standard_normal(count))[::-1].astype(np.float32)
    return scores, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 99), st.integers(0, 20), st.integers(0, 20))
def test_none_changes_nothing(seed: int, count: int, wanted: int) -> None:
    scores, vectors = hits(seed, count)
    assert diverse(scores, vectors, 0, np.zeros(count, bool), wanted) == list(range(count))[:wanted]


@given(st.integers(0, 99), st.integers(1, 20), st.floats(0, 1), st.integers(0, 20))
def test_each_hit_is_chosen_at_most_once_and_the_best_one_first(
    seed: int, count: int, diversity: float, wanted: int
) -> None:
    scores, vectors = hits(seed, count)
    chosen = diverse(scores, vectors, diversity, np.zeros(count, bool), wanted)
    assert len(set(chosen)) == len(chosen) == min(wanted, count)
    assert chosen[:1] in ([0], [])


@given(st.integers(0, 99), st.floats(0, 1))
def test_what_was_shown_before_counts_as_chosen(seed: int, diversity: float) -> None:
    scores, vectors = hits(seed, 12)
    whole = diverse(scores, vectors, diversity, np.zeros(12, bool), 12)
    taken = np.isin(np.arange(12), whole[:5])
    assert diverse(scores, vectors, diversity, taken, 7) == whole[5:]


def test_a_copy_comes_after_what_says_something_else() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = np.array([3, 2.9, 2], np.float32)
    assert diverse(scores, vectors, 0.6, np.zeros(3, bool), 3) == [0, 2, 1]
    assert diverse(scores, vectors, 0.1, np.zeros(3, bool), 3) == [0, 1, 2]
