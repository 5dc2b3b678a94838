"""The laws of boosts and recency."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway.boosts import boosted
from spanstream.gateway.recency import Recency, age, dated, faded, moment

NOW = datetime(2025, 1, 31, tzinfo=UTC)
SCORES = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).uniform(-5, 20, 1 + seed % 12))
FACTORS = st.lists(st.floats(0.1, 10), max_size=4)


def held_by(seed: int, factors: int, passages: int) -> list:
    return list(np.random.default_rng(seed).random((factors, passages)) < 0.5)


@given(SCORES, st.integers(0, 99))
def test_a_factor_of_one_changes_nothing(scores: np.ndarray, seed: int) -> None:
    assert boosted(scores, [1.0, 1.0], held_by(seed, 2, len(scores))).tolist() == scores.tolist()


@given(SCORES, FACTORS, st.integers(0, 99), st.randoms())
def test_the_order_of_boosts_says_nothing(scores: np.ndarray, factors: list, seed: int, random: object) -> None:
    pairs = list(zip(factors, held_by(seed, len(factors), len(scores)), strict=True))
    one = boosted(scores, [factor for factor, _ in pairs], [held for _, held in pairs])
    random.shuffle(pairs)  # type: ignore[attr-defined]
    assert boosted(scores, [factor for factor, _ in pairs], [held for _, held in pairs]).tolist() == one.tolist()


@given(SCORES, st.floats(0.1, 10), st.integers(0, 99))
def test_no_factor_moves_a_passage_the_wrong_way(scores: np.ndarray, factor: float, seed: int) -> None:
    held = held_by(seed, 1, len(scores))[0]
    after = boosted(scores, [factor], [held])
    lead = (after[held][:, None] - after[~held]) - (scores[held][:, None] - scores[~held])
    assert (lead >= -1e-9).all() if factor >= 1 else (lead <= 1e-9).all()


@pytest.mark.parametrize("scores", [[0.0, 0.0], [0.7, 0.7], [-1.0, -1.0], [0.0]])
def test_a_boost_decides_between_equals(scores: list[float]) -> None:
    after = boosted(np.array(scores), [2.0], [np.array([False] * (len(scores) - 1) + [True])])
    assert after[-1] > scores[-1]
    assert after[-1] >= after[0]
    assert boosted(np.zeros(0), [2.0], [np.zeros(0, bool)]).size == 0


def recency(weight: float, days: float = 10) -> Recency:
    return Recency("metadata.date", days, weight, NOW)


@given(SCORES, st.integers(0, 99))
def test_no_weight_changes_nothing(scores: np.ndarray, seed: int) -> None:
    ages = np.random.default_rng(seed).random(len(scores)) * 1000
    assert faded(scores, ages, recency(0)).tolist() == scores.tolist()


@given(SCORES, st.floats(0, 1), st.lists(st.floats(0, 1e6), min_size=12, max_size=12))
def test_of_two_passages_that_score_alike_the_older_one_is_not_first(
    scores: np.ndarray, weight: float, days: list
) -> None:
    ages = np.array(days[: len(scores)])
    after = faded(np.full_like(scores, scores[0]), ages, recency(weight))
    assert np.allclose(after, scores[0])  # nothing leads
    after = faded(np.append(np.full_like(scores, 21.0), -6.0), np.append(ages, 0), recency(weight))[:-1]
    assert (np.diff(after[np.argsort(ages, kind="stable")]) <= 1e-9).all()


def test_a_lead_halves_with_each_half_life_and_the_undated_are_the_oldest() -> None:
    after = faded(np.array([8.0, 8.0, 8.0, 8.0, 0.0]), np.array([0, 10, 20, np.inf, 0]), recency(1))
    assert after.tolist() == [8, 4, 2, 0, 0]
    after = faded(np.array([8.0, 8.0, -8.0]), np.array([0, np.inf, 0]), recency(0.5))
    assert after.tolist() == [8, 0, -8]
    assert faded(np.zeros(0), np.zeros(0), recency(1)).size == 0


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("2025-01-30", 1),
        ("2025-01-30T12:00:00Z", 0.5),
        ("2025-01-31T00:00:00+12:00", 0.5),
        (["2024-01-01", "2025-01-29", 7], 2),
        ("2026-01-01", 0),
        ("2025-02-30", np.inf),
        ("20250130", np.inf),
        ("0001-01-01T00:00:00+14:00", pytest.approx(739_281, abs=400)),
        (2025, np.inf),
        (None, np.inf),
        ({"a": 1}, np.inf),
    ],
)
def test_age_is_counted_in_days_of_what_is_a_date(value: object, days: float) -> None:
    assert age(dated({"at": {"first": value}}, "metadata.at.first"), NOW) == days
    assert age(dated({}, "metadata.at.first"), NOW) == np.inf


def test_the_time_of_acceptance_is_known_where_it_is_stamped() -> None:
    assert moment(0) is None
    assert age(moment(int((NOW - timedelta(days=3)).timestamp() * 1e6)), NOW.replace(tzinfo=None)) == pytest.approx(3)


@pytest.mark.parametrize("microseconds", [0, 2**63 - 1, -(2**63)])
def test_a_stamp_that_no_calendar_holds_is_none(microseconds: int) -> None:
    assert moment(microseconds) is None
