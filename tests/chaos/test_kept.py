"""Long forms that were cut off go on where they were."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tests.chaos.kept import seeds


def test_the_seed_that_a_run_was_cut_off_in_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "results" / "run.json"
    assert list(islice(seeds(path, 5), 3)) == [0, 1, 2]  # 2 was begun, and not more
    assert list(seeds(path, 5)) == [2, 3, 4]
    assert list(seeds(path, 5)) == []
    assert list(seeds(path, 6)) == [5]
