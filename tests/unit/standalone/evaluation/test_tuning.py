from __future__ import annotations

import numpy as np
import pytest

from spanstream.standalone.evaluation.tuning import STRENGTH, Judged, cross_validated, fit

COMPONENTS = 3


def judged(count: int, *, telling: int, seed: int = 0) -> list[Judged]:
    """Queries of 20 hits where the component `telling` tells the 3 relevant ones, and the others say nothing."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(count):
        parts = chance.standard_normal((20, COMPONENTS))
        relevant = {f"d{i}": 1.0 for i in np.argsort(-parts[:, telling])[:3]}
        found.append(Judged(f"q{number}", [f"d{i}" for i in range(20)], parts, relevant))
    return found


def test_what_tells_gets_more_weight_and_what_does_not_gets_less() -> None:
    weights = fit([judged(60, telling=1)], COMPONENTS)
    assert weights[1] > 1.2
    assert weights[0] < 0.9
    assert weights[2] < 0.9


def test_the_gradient_is_zero_at_the_fit() -> None:
    (one,) = sets = [judged(8, telling=0)]
    weights = fit(sets, COMPONENTS)

    def loss(at: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        total = STRENGTH / 2 * float(((at - 1) ** 2).sum())
        for each in one:
            scores = each.parts @ at
            wins = [
                np.log1p(np.exp(scores[j] - scores[i]))
                for i in range(20)
                for j in range(20)
                if each.relevant.get(f"d{i}", 0) > each.relevant.get(f"d{j}", 0)
            ]
            total += float(np.mean(wins)) / len(one)
        return total

    for component in range(COMPONENTS):
        step = np.zeros(COMPONENTS)
        step[component] = 1e-4
        assert (loss(weights + step) - loss(weights - step)) / 2e-4 == pytest.approx(0, abs=1e-5)


def test_without_judgements_that_tell_hits_apart_the_weights_stay() -> None:
    nothing = [Judged("q", ["a", "b"], np.ones((2, COMPONENTS)), {})]
    assert fit([nothing], COMPONENTS).tolist() == [1.0] * COMPONENTS


def test_a_gain_is_measured_on_queries_that_were_left_out() -> None:
    (gains,) = cross_validated([judged(60, telling=1)], COMPONENTS)
    assert gains.mean() > 5
    chance = np.random.default_rng(1)
    noise = [
        Judged(f"q{n}", [f"d{i}" for i in range(20)], chance.standard_normal((20, COMPONENTS)), {"d3": 1.0})
        for n in range(60)
    ]
    (none,) = cross_validated([noise], COMPONENTS)
    assert abs(none.mean()) < 5
