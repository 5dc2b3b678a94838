"""Two workers that learn as one, in two processes that meet as they would on two GPUs."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from spanstream.representations.training import checkpoint
from spanstream.representations.training.objective import Document
from spanstream.representations.training.team import ALONE, Team
from tests.unit.training.workers import OBJECTIVES, learn

JOIN_SECONDS = 240.0


def learnt(team_size: int, model: Path, documents: list[Document], out: Path) -> list[dict[str, Any]]:
    """What each worker of a team has come to."""
    out.mkdir(exist_ok=True)
    if team_size == 1:
        learn(ALONE, str(model), documents, out)
    else:
        start = get_context("spawn").Process
        workers = [
            start(target=learn, args=(Team(rank, team_size), str(model), documents, out)) for rank in range(team_size)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(JOIN_SECONDS)
            assert worker.exitcode == 0
    return [torch.load(out / f"worker-{rank}.pt", weights_only=True) for rank in range(team_size)]


@pytest.mark.timeout(600)
def test_two_workers_come_to_the_same_and_to_what_one_alone_does(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    (alone,) = learnt(1, folder, documents, tmp_path / "alone")
    first, second = learnt(2, folder, documents, tmp_path / "two")
    assert first["looks"] == second["looks"]
    assert all(torch.equal(each, second["weights"][name]) for name, each in first["weights"].items())
    assert not [name for name in first["weights"] if "assistant" in name]
    assert first["looks"][-1][0] < first["looks"][0][0] - 0.05
    for (
        name
    ) in OBJECTIVES:  # but for how sums are rounded, and which of two equally near sentences that makes a suspect
        assert [each[name] for _, each in first["looks"]] == pytest.approx(
            [each[name] for _, each in alone["looks"]], rel=5e-3, abs=1e-6
        )
    for name, each in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], each, atol=2e-3, rtol=0)
    assert (tmp_path / "two" / checkpoint.FILE).is_file()
