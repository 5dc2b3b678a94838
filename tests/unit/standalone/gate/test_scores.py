from __future__ import annotations

import numpy as np
import pytest

from spanstream.standalone.gate.scores import Hits, calibration_error, logistic

RANDOM = np.random.default_rng(0)
FIT = np.arange(400) % 2 == 0


def hits(probable: np.ndarray[tuple[int, ...], np.dtype[np.float64]], scores: object = None) -> Hits:
    return Hits(
        np.asarray(probable if scores is None else scores, np.float64), RANDOM.random(probable.shape) < probable
    )


def test_the_curve_is_the_one_that_the_hits_were_drawn_from() -> None:
    scores = RANDOM.uniform(-1, 1, 20_000)
    slope, shift = logistic(scores, RANDOM.random(20_000) < 1 / (1 + np.exp(-(3 * scores - 0.5))))
    assert (slope, shift) == (pytest.approx(3, abs=0.15), pytest.approx(-0.5, abs=0.1))


def test_scores_that_mean_something_else_in_each_half_are_worse_calibrated() -> None:
    scores = RANDOM.uniform(0, 1, (400, 10))
    good = hits(1 / (1 + np.exp(-(6 * scores - 3))), scores)
    bad = Hits(np.where(FIT[:, None], scores, scores + 0.5), good.relevant)  # each score a hit less probable
    found = calibration_error(good, bad, FIT)
    assert found is not None
    difference, a, b, items = found
    assert items == 200
    assert a < 4
    assert b > 20
    assert difference.value == pytest.approx(b - a)
    assert difference.low > 0


def test_the_same_hits_have_the_same_error() -> None:
    same = hits(RANDOM.uniform(0, 1, (400, 10)))
    found = calibration_error(same, same, FIT)
    assert found is not None
    assert tuple(found[0]) == (0, 0, 0)


@pytest.mark.parametrize("relevant", [False, True])
def test_hits_that_are_all_alike_cannot_be_calibrated(relevant: bool) -> None:
    alike = Hits(np.zeros((400, 10)), np.full((400, 10), relevant))
    assert calibration_error(alike, alike, FIT) is None
    assert calibration_error(alike, alike, np.ones(400, bool)) is None


def test_hits_that_a_score_tells_apart_perfectly_have_an_end() -> None:
    slope, shift = logistic(np.array([0.0, 0.1, 0.9, 1.0]), np.array([False, False, True, True]))
    assert np.isfinite([slope, shift]).all()
    assert slope > 0
