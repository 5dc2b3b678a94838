"""The report names the promises' tests as they are marked now."""

from __future__ import annotations

from tools import reliability_report


def test_the_reliability_report_is_current() -> None:
    """Else: make reliability-report."""
    assert reliability_report.PAGE.read_text() == reliability_report.page()


def test_every_promise_is_on_it() -> None:
    assert list(reliability_report.PROMISES) == [f"I{number}" for number in range(1, 31)]
