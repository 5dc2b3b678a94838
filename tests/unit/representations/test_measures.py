from __future__ import annotations

import math

import numpy as np
import pytest

from spanstream.representations.measures import ndcg, pearson, recall, spearman


def test_ndcg_by_hand() -> None:
    relevant = {"a": 1.0, "b": 1.0, "c": 0.0}
    ideal = 1 + 1 / math.log2(3)
    assert ndcg(["a", "b"], relevant) == pytest.approx(1)
    assert ndcg(["x", "a"], relevant) == pytest.approx((1 / math.log2(3)) / ideal)
    assert ndcg(["c", "x"], relevant) == 0
    assert ndcg(["a"], {}) == 0
    assert ndcg(["x"] * 10 + ["a"], relevant) == 0


def test_recall_counts_what_is_relevant_within_the_depth() -> None:
    relevant = {"a": 1.0, "b": 2.0, "c": 0.0}
    assert recall(["a", "c", "x"], relevant) == 0.5
    assert recall(["x", "a", "b"], relevant, depth=2) == 0.5
    assert recall(["a"], {"a": 0.0}) == 0


def test_correlations_by_hand() -> None:
    assert pearson([1, 2, 3], [2, 4, 7])[0] == pytest.approx(np.corrcoef([1, 2, 3], [2, 4, 7])[0, 1])
    assert spearman([1, 2, 3], [2, 4, 700])[0] == pytest.approx(1)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4])[0] == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])
    assert spearman([1, 1, 1], [1, 2, 3])[0] == 0


def test_counts_mean_that_the_items_are_there_so_often() -> None:
    random = np.random.default_rng(3)
    x, y = random.integers(0, 6, 40).astype(float), random.normal(size=40)
    counts = random.integers(0, 4, (5, 40))
    for measure in (pearson, spearman):
        together = measure(x, y, counts.astype(float))
        for row, found in zip(counts, together, strict=True):
            assert found == pytest.approx(measure(np.repeat(x, row), np.repeat(y, row))[0])
