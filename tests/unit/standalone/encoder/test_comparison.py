from __future__ import annotations

import numpy as np
import pytest

from spanstream.standalone.encoder import comparison
from spanstream.standalone.encoder.judgements import Collection


def test_search_is_exact_and_equals_keep_their_order() -> None:
    random = np.random.default_rng(2)
    documents = random.integers(-2, 3, (300, 4)).astype(np.float32)
    queries = random.integers(-2, 3, (70, 4)).astype(np.float32)
    best = np.sort(-(queries @ documents.T), axis=1)[:, :10]
    found = comparison.search(queries, documents, 10)
    assert (-np.take_along_axis(queries @ documents.T, found, axis=1) == best).all()
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")
    assert (comparison.search(queries, documents, 300) == expected).all()
    assert comparison.search(queries, documents[:3], 10).shape == (70, 3)


def test_a_ranking_is_scored_per_query() -> None:
    data = Collection(
        [{"_id": name, "text": name} for name in "abc"], {"q": "x", "r": "y"}, {"q": {"a": 1}, "r": {"b": 1}}
    )
    documents = np.eye(3, dtype=np.float32)
    scores = comparison.ranking_scores(data, np.array([[1, 0, 0], [1, 0.5, 0]], np.float32), documents)
    assert scores["nDCG@10"] == pytest.approx([100, 100 / np.log2(3)])
    assert scores["recall@100"] == pytest.approx([100, 100])


def test_a_clear_difference_is_shown_and_a_noisy_one_is_not() -> None:
    random = np.random.default_rng(4)
    base = {"nDCG@10": random.uniform(0, 100, 200)}
    better = {"nDCG@10": base["nDCG@10"] + random.normal(3, 5, 200)}
    noisy = {"nDCG@10": base["nDCG@10"] + random.normal(0, 30, 200)}
    (row,) = comparison.compare_rankings(base, better)
    assert row.shown
    assert row.sentence("one", "two").startswith("B (two) is better than A (one) by 3.")
    assert comparison.compare_rankings(better, base)[0].sentence("one", "two").startswith("A (one) is better")
    (row,) = comparison.compare_rankings(base, noisy)
    assert not row.shown
    assert row.sentence("one", "two").startswith("No difference in nDCG@10 is shown")


def test_few_queries_show_nothing_however_clear() -> None:
    (row,) = comparison.compare_rankings({"nDCG@10": np.zeros(5)}, {"nDCG@10": np.full(5, 50.0)})
    assert not row.shown
    assert "too few" in row.sentence("one", "two")


def test_correlations_are_compared_over_the_same_pairs() -> None:
    random = np.random.default_rng(6)
    scores = random.uniform(0, 5, 300)
    near, far = scores + random.normal(0, 1, 300), scores + random.normal(0, 4, 300)
    rows = {row.measure: row for row in comparison.compare_correlations(far, near, list(scores))}
    assert rows["Pearson"].b == pytest.approx(100 * np.corrcoef(near, scores)[0, 1])
    assert rows["Spearman"].shown
    low, high = rows["Spearman"].difference[1:]
    assert low < rows["Spearman"].difference.value < high
    same = comparison.compare_correlations(near, near, list(scores))
    assert [row.difference for row in same] == [(0, 0, 0), (0, 0, 0)]
    assert not same[0].shown
