"""One worker of a team, for a process of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from spanstream.representations.training.objective import Document
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.student import student
from spanstream.representations.training.team import Team
from spanstream.representations.training.trainer import train

OBJECTIVES: dict[str, dict[str, Any]] = {
    "consensus": {},
    "denoising": {"weight": 0.1},
    "layers": {"layers": [1]},
    "sentences": {},
    "spans": {},
    "interaction": {},
}
RECIPE = Recipe(
    steps=10, batch=8, learning_rate=1e-3, warmup_steps=2, evaluate_every=5, patience=9, objectives=OBJECTIVES
)


def learn(team: Team, model: str, documents: list[Document], out: Path) -> None:
    """One worker; writes what it has come to."""
    torch.set_num_threads(1)
    if team.size > 1:
        distributed.init_process_group("gloo", f"file://{out}/meeting", rank=team.rank, world_size=team.size)
    learner = replace(student(model, "cpu"), mixed=False)
    trained = train(replace(RECIPE, start=model), learner, lambda: documents, out, team=team)
    found = {"looks": [(look.total, look.losses) for look in trained.looks], "best": trained.best}
    torch.save({**found, "weights": trained.student.network.state_dict()}, out / f"worker-{team.rank}.pt")
