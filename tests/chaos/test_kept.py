"""Long forms that were cut off go on where they were."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.chaos.kept import Kept, seeds


@dataclass
class Result(Kept):
    seed: int
    next: int = 0


def test_a_run_with_another_seed_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    Result(seed=1, next=7).save(path)
    assert Result.saved(path, seed=1) == Result(1, 7)
    assert Result.saved(path, seed=2) is None
    assert Result.saved(tmp_path / "another.json", seed=1) is None


def test_a_result_names_each_machine_and_commit_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for _ in range(2):
        (Result.saved(path, seed=1) or Result(1)).save(path)
    told = json.loads(path.read_text())
    assert [each["cores"] for each in told["ran"]] == [os.cpu_count()]
    assert told["ran"][0].keys() == {"cpu", "cores", "commit", "day"}
    told["ran"][0]["commit"] = "another"
    path.write_text(json.dumps(told))
    (Result.saved(path, seed=1) or Result(1)).save(path)
    assert len(json.loads(path.read_text())["ran"]) == 2
    del told["ran"]
    path.write_text(json.dumps(told))
    assert Result.saved(path, seed=1) == Result(1)  # one of before


def test_the_seed_that_a_run_was_cut_off_in_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "results" / "run.json"
    assert list(islice(seeds(path, 5), 3)) == [0, 1, 2]  # 2 was begun, and not more
    assert list(seeds(path, 5)) == [2, 3, 4]
    assert list(seeds(path, 5)) == []
    assert list(seeds(path, 6)) == [5]
