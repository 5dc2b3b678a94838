from __future__ import annotations

import numpy as np
import pytest

from spanstream.representations.bootstrap import Interval, interval, interval_of


def test_interval_holds_its_mean_and_narrows() -> None:
    mean, low, high = interval([0.0, 1.0] * 50)
    assert low < mean == 0.5 < high
    wide = interval([0.0, 1.0] * 5)
    assert high - low < wide[2] - wide[1]


def test_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(size=400)
    found = interval(values)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_of_any_statistic_sees_how_often_each_item_is_drawn() -> None:
    values = np.arange(30.0)

    def mean(counts: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        assert (counts.sum(axis=1) == 30).all()
        return counts @ values / 30

    assert interval_of(mean, 30) == pytest.approx(interval(values))
    assert interval(values) == interval(values)


def test_only_an_interval_without_zero_shows_a_difference() -> None:
    assert interval(np.linspace(0.1, 1, 50)).excludes_zero()
    assert interval(np.linspace(-1, -0.1, 50)).excludes_zero()
    assert not interval([-1.0, 1.0] * 25).excludes_zero()
    assert not Interval(0.0, 0.0, 0.0).excludes_zero()


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([])
