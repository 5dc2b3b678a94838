from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway.fusion import LEXICAL_FLOOR, WEIGHTS, Fusion, fuse, grades, normalised

SCORES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20)


def array(*scores: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(scores, np.float32)


def test_fused_score_is_the_weighted_sum_of_normalised_legs() -> None:
    legs = {"dense": array(0, 2), "spans": array(5, 5), "lexical": array(9, 3)}
    expected = (WEIGHTS["dense"] * array(-1, 1) + WEIGHTS["lexical"] * array(1, -1)) / sum(WEIGHTS.values())
    np.testing.assert_allclose(fuse(legs), expected, atol=1e-6)


def test_small_differences_are_not_blown_up() -> None:
    np.testing.assert_allclose(normalised(array(0.50, 0.51), 0.03), array(-1 / 6, 1 / 6), rtol=1e-4)
    legs = {"dense": array(0.50, 0.51), "spans": array(0, 0), "lexical": array(20, 18)}
    floor = LEXICAL_FLOOR * 20
    expected = (array(-1 / 6, 1 / 6) + array(1, -1) / floor) / 3
    np.testing.assert_allclose(fuse(legs), expected, rtol=1e-3)


def test_weights_of_the_legs_that_take_part_sum_to_one() -> None:
    np.testing.assert_allclose(fuse({"dense": array(0, 2), "spans": array(0, 2)}), array(-1, 1), atol=1e-6)


def test_single_leg_keeps_its_scores() -> None:
    np.testing.assert_array_equal(fuse({"lexical": array(7, 3)}), array(7, 3))


@given(SCORES)
def test_normalised_scores_are_finite_and_keep_their_order(scores: list[float]) -> None:
    given = array(*scores)
    result = normalised(given, 0.03)
    assert np.isfinite(result).all()
    assert (np.diff(result[np.argsort(given, kind="stable")]) >= -1e-4).all()


@given(st.floats(-1, 1, width=32), st.integers(1, 5))
def test_leg_that_scores_all_alike_says_nothing(score: float, count: int) -> None:
    assert (np.abs(normalised(np.full(count, score, np.float32), 0.03)) < 1e-4).all()


LEGS = {"dense": array(0.9, 0.5, 0.1), "lexical": array(0, 7, 3)}


def test_reciprocal_ranks_add_up_and_a_leg_ranks_only_what_it_scores() -> None:
    expected = array(1 / 61, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62)
    np.testing.assert_allclose(fuse(LEGS, Fusion.RRF), expected, rtol=1e-6)


def test_distribution_based_fusion_adds_shares_of_three_deviations_around_the_mean() -> None:
    dense, lexical = LEGS["dense"], LEGS["lexical"]
    shares = [0.5 + (scores - scores.mean()) / (6 * scores.std()) for scores in (dense, lexical)]
    np.testing.assert_allclose(fuse(LEGS, Fusion.DBSF), sum(shares), rtol=1e-5)


@pytest.mark.parametrize("fusion", Fusion)
def test_grades_lie_between_0_and_1_and_keep_the_order_of_the_fused_scores(fusion: Fusion) -> None:
    graded, fused = grades(LEGS, fusion), fuse(LEGS, fusion)
    assert ((graded > 0) & (graded < 1)).all()
    np.testing.assert_array_equal(np.argsort(graded), np.argsort(fused))


@pytest.mark.parametrize("fusion", Fusion)
def test_single_leg_keeps_its_scores_whatever_the_fusion(fusion: Fusion) -> None:
    np.testing.assert_array_equal(fuse({"lexical": array(7, 3)}, fusion), array(7, 3))
