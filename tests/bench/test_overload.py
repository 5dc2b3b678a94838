"""What a run of the overload benchmark takes over from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.overload import LOADS, Result

ASKED = (1, 30.0, 90.0)  # seed, capacity, seconds


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    path, cut_off = tmp_path / "overload.json", Result(*ASKED, rows=[{"load": load} for load in LOADS[:2]])
    cut_off.save(path)
    assert Result.read(path, *ASKED) == cut_off
    assert Result.read(None, *ASKED) == Result(*ASKED)


@pytest.mark.parametrize(
    ("asked", "loads"),
    [
        ((2, 30.0, 90.0), LOADS[:1]),
        ((1, 31.0, 90.0), LOADS[:1]),
        ((1, 30.0, 60.0), LOADS[:1]),
        (ASKED, (LOADS[0] / 2,)),
        (ASKED, LOADS),  # it had ended
    ],
)
def test_what_another_run_left_is_not_gone_on_with(
    tmp_path: Path, asked: tuple[int, float, float], loads: tuple[float, ...]
) -> None:
    path = tmp_path / "overload.json"
    Result(*asked, rows=[{"load": load} for load in loads]).save(path)
    assert Result.read(path, *ASKED) == Result(*ASKED)
