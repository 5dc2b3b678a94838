"""The report names the promises' tests as they are marked now."""

from __future__ import annotations

import json
from pathlib import Path

from tools import reliability_report


def test_the_reliability_report_is_current() -> None:
    """Else: make reliability-report."""
    assert reliability_report.PAGE.read_text() == reliability_report.page()


def test_every_promise_is_on_it() -> None:
    assert list(reliability_report.PROMISES) == [f"I{number}" for number in range(1, 31)]


def test_a_long_run_names_its_commit_day_and_machine_where_these_were_noted(tmp_path: Path) -> None:
    kept = json.loads((reliability_report.RESULTS / "repeated.json").read_text())
    ran = {"cpu": "A processor", "cores": 2, "commit": "abc1234", "day": "2030-01-31"}
    for noted, said in (([], "| 0–999 |  |"), ([ran], "| 0–999 | abc1234, 2030-01-31, 2 cores, A processor |")):
        (tmp_path / "repeated.json").write_text(json.dumps(kept | {"ran": noted}))
        assert said in reliability_report.page(tmp_path)
