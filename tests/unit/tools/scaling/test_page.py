"""docs/capacity.md: its plans are those of today's calibration, and its tables and pictures are there."""

from __future__ import annotations

import pytest

from spanstream.standalone.planning import calibration
from tools.scaling import plans
from tools.scaling.__main__ import DOCS, PAGE, PICTURES, duration, table, written
from tools.scaling.policy import DOWN, UP, Policy
from tools.scaling.scenarios import fixed
from tools.scaling.simulation import Pool, Scenario, Stage, run


def test_the_plans_are_those_of_the_packaged_calibration() -> None:
    page = PAGE.read_text()
    assert written(page, "plans", plans.table(calibration.read().costs)) == page, "run `make capacity`"


def test_the_simulation_is_shown_with_its_pictures() -> None:
    assert PAGE.read_text().count("| 1 B at once") == 2
    assert all((DOCS / name).stat().st_size > 10_000 and f"({name})" in PAGE.read_text() for name in PICTURES)


def test_a_line_tells_the_latest_stage_and_the_pods() -> None:
    policy = Policy(0, 4, UP, DOWN, lag_seconds=30, lag_records=100, cooldown=60)
    stages = [Stage("ingestor-worker", policy, 50), Stage("embedder", policy, 10)]
    encoder = Pool(Policy(1, 4, UP, DOWN, busy=0.8), 20, 200, 30)
    scenario = Scenario("a load", lambda time: 20.0, 300, stages, encoder, 8)
    scaled = run(scenario)
    always = run(fixed(scenario, {"ingestor-worker": 4, "embedder": 4, "encoder": 4}))
    *_, line = table([(scenario, scaled, always)])
    assert line.startswith("| a load | embedder ")
    assert "embedder 4" in line
    assert "%" in line


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (119, "119 s"), (120, "2.0 min"), (7200, "2.0 h"), (864_000, "10.0 d")]
)
def test_times_are_told_for_people(seconds: float, told: str) -> None:
    assert duration(seconds) == told
