from __future__ import annotations

import math

import pytest

from tests.quality.measures import interval, ndcg


def test_ndcg_by_hand() -> None:
    relevant = {"a": 1.0, "b": 1.0, "c": 0.0}
    ideal = 1 + 1 / math.log2(3)
    assert ndcg(["a", "b"], relevant) == pytest.approx(1)
    assert ndcg(["x", "a"], relevant) == pytest.approx((1 / math.log2(3)) / ideal)
    assert ndcg(["c", "x"], relevant) == 0
    assert ndcg(["a"], {}) == 0
    assert ndcg(["x"] * 10 + ["a"], relevant) == 0


def test_interval_holds_its_mean_and_narrows() -> None:
    mean, low, high = interval([0.0, 1.0] * 50)
    assert low < mean == 0.5 < high
    wide = interval([0.0, 1.0] * 5)
    assert high - low < wide[2] - wide[1]
