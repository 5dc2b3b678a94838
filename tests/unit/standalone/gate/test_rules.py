from __future__ import annotations

import pytest

from spanstream.representations.bootstrap import Interval
from spanstream.standalone.encoder.comparison import MIN_ITEMS, Row
from spanstream.standalone.gate import rules
from spanstream.standalone.gate.rules import Status


def row(measure: str, value: float, half: float = 0.1, items: int = MIN_ITEMS) -> Row:
    return Row(measure, 50.0, 50.0 + value, Interval(value, value - half, value + half), items)


BETTER = row(rules.NDCG, 2.0)


def failed(*rows: Row) -> list[str]:
    return [ruling.rule for ruling in rules.rulings(rows) if ruling.status is Status.FAILED]


@pytest.mark.parametrize("gain", [BETTER, row(rules.SPANS, 2.0)])
def test_a_gain_that_is_shown_passes(gain: Row) -> None:
    assert failed(gain) == []
    assert rules.passed(rules.rulings([gain]))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "0 queries are too few"),
        ([row(rules.NDCG, 2.0, items=MIN_ITEMS - 1)], "19 queries are too few to tell"),
        ([row(rules.NDCG, 2.0, half=3.0)], "passage nDCG@10 +2.00 [-1.00, +5.00]"),
        ([row(rules.NDCG, 0.0)], "+0.00"),
        ([row(rules.NDCG, -0.4)], "-0.40"),
    ],
)
def test_without_a_gain_that_is_shown_nothing_passes(rows: list[Row], reason: str) -> None:
    gain, *_ = rules.rulings(rows)
    assert gain.status is Status.FAILED
    assert reason in gain.reason
    assert not rules.passed(rules.rulings(rows))


@pytest.mark.parametrize("measure", rules.MARGINS)
def test_each_measure_may_be_worse_by_its_margin_and_no_more(measure: str) -> None:
    worse = 1.0 if measure in rules.LESS_IS_BETTER else -1.0
    gain = row(rules.SPANS if measure == rules.NDCG else rules.NDCG, 2.0)
    margin = rules.MARGINS[measure]
    assert failed(gain, row(measure, worse * margin)) == []
    (rule,) = failed(gain, row(measure, worse * (margin + 0.01)))
    assert rule.startswith(measure)
    assert failed(gain, row(measure, -worse * 50)) == []


@pytest.mark.parametrize("measure", rules.MARGINS)
def test_a_difference_that_is_no_number_fails(measure: str) -> None:
    gain = row(rules.SPANS if measure == rules.NDCG else rules.NDCG, 2.0)
    (rule,) = failed(gain, row(measure, float("nan")))
    assert rule.startswith(measure)


def test_what_was_not_measured_is_said_and_holds_nothing_back() -> None:
    found = {ruling.rule.partition(" falls")[0]: ruling for ruling in rules.rulings([BETTER])}
    assert found[rules.SIMILARITY].status is Status.NOT_MEASURED
    assert "--similarity" in found[rules.SIMILARITY].reason
    assert "spans.tsv" in found[rules.SPANS].reason
