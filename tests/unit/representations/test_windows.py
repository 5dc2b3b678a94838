from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spanstream.representations.windows import OVERLAP, Window, windows

SIZES = st.integers(8, 300)


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    count = draw(st.integers(0, 1500))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = rng.integers(0, draw(st.sampled_from([1, 3, 30_000])), count).astype(np.int32)
    share = draw(st.sampled_from([0, 0.005, 0.05, 0.5]))
    return ids, np.flatnonzero(rng.random(count) < share).astype(np.int32), draw(SIZES)


@given(cases())
def test_windows_fit_and_their_stretches_make_up_the_text(
    case: tuple[NDArray[np.int32], NDArray[np.int32], int],
) -> None:
    ids, borders, size = case
    made = windows(ids, borders, size)
    assert all(window.end - window.start <= size for window in made)
    assert [window.first for window in made] == [0, *(window.last for window in made[:-1])]
    assert made[-1].last == len(ids)
    assert made == windows(ids, borders, size)


@given(cases())
def test_a_token_counts_where_it_is_farthest_from_an_edge(
    case: tuple[NDArray[np.int32], NDArray[np.int32], int],
) -> None:
    ids, borders, size = case
    made = windows(ids, borders, size)

    def distance(window: Window, token: int) -> int:
        """Tokens to the nearest edge; the ends of the text are no edges."""
        left = token - window.start if window.start else len(ids)
        right = window.end - 1 - token if window.end < len(ids) else len(ids)
        return min(left, right)

    for window, following in pairwise(made):
        for token in range(following.start, window.end):
            if token < window.last:
                assert distance(window, token) >= distance(following, token)
            elif token < following.last:
                # the middle of an even overlap has two nearest tokens
                assert distance(following, token) >= distance(window, token) or token == window.last


@given(cases())
def test_stretches_end_at_borders_where_there_are_any_in_reach(
    case: tuple[NDArray[np.int32], NDArray[np.int32], int],
) -> None:
    ids, borders, size = case
    for window in windows(ids, borders, size)[:-1]:
        half = min(OVERLAP // 2, size // 4)
        longest = size - min(half, window.first) - half
        reach = (borders > window.first + int(longest * 2 / 3)) & (borders <= window.first + longest)
        assert window.last in borders or not reach.any()


def test_neighbours_overlap_by_64_tokens() -> None:
    ids = np.arange(2000, dtype=np.int32)
    made = windows(ids, np.empty(0, np.int32), 254)
    assert len(made) > 8
    assert all(a.end - b.start == OVERLAP for a, b in pairwise(made) if b.last < len(ids))


def test_after_an_edit_the_windows_are_soon_the_old_ones_again() -> None:
    def contents(ids: NDArray[np.int32], borders: NDArray[np.int32]) -> set[tuple[bytes, int]]:
        return {(ids[w.start : w.end].tobytes(), w.first - w.start) for w in windows(ids, borders, 254)}

    changed = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ids = rng.integers(1000, 30_000, 20_000).astype(np.int32)
        borders = np.flatnonzero(rng.random(len(ids)) < 0.05).astype(np.int32)
        inserted = np.concatenate([ids[:5000], np.arange(37, dtype=np.int32), ids[5000:]])
        moved = np.where(borders < 5000, borders, borders + 37).astype(np.int32)
        before, after = contents(ids, borders), contents(inserted, moved)
        assert len(before) > 100
        changed.append(len(after - before))
    assert np.mean(changed) <= 12
