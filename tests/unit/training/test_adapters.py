"""Adapters change nothing until they have learnt, alone learn, and become part of the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from spanstream.representations.training.adapters import SCALE, Adapted, adapt, merge
from spanstream.representations.training.objective import Document
from tests.unit.training.test_trainer import RECIPE, Killed, run, weights


def network() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 3)))


def test_what_has_learnt_nothing_changes_nothing() -> None:
    made, states = network(), torch.randn(4, 6)
    before = made(states)
    adapt(made, 2)
    assert sum(isinstance(each, Adapted) for each in made.modules()) == 2
    torch.testing.assert_close(made(states), before, atol=0, rtol=0)
    assert [name.rsplit(".", 1)[1] for name, each in made.named_parameters() if each.requires_grad] == [
        "down",
        "up",
    ] * 2


def test_what_was_learnt_is_part_of_the_weights_afterwards() -> None:
    made, states = network(), torch.randn(4, 6)
    before = made[0].weight.clone()
    adapt(made, 2)
    adapted = made[0]
    assert isinstance(adapted, Adapted)
    nn.init.normal_(adapted.up)
    learnt = SCALE * adapted.up.detach() @ adapted.down.detach()
    wanted = made(states)
    merge(made)
    assert not any(isinstance(each, Adapted) for each in made.modules())
    torch.testing.assert_close(made(states), wanted)
    torch.testing.assert_close(made[0].weight.detach(), before + learnt)
    merge(made)  # without any it does nothing
    torch.testing.assert_close(made(states), wanted)


@pytest.mark.parametrize("step", [None, 7])
def test_a_model_learns_by_them_and_is_saved_like_any(
    folder: Path, documents: list[Document], tmp_path: Path, step: int | None
) -> None:
    recipe = replace(RECIPE, rank=4, learning_rate=1e-2, steps=12)
    whole = run(folder, documents, tmp_path / "whole", recipe)
    assert min(look.losses["sentences"] for look in whole.looks) < whole.looks[0].losses["sentences"]
    whole.student.save(tmp_path / "model")
    if step:
        with pytest.raises(Killed):
            run(folder, documents, tmp_path / "killed", recipe, die_after=step)
        again = run(folder, documents, tmp_path / "killed", recipe)
        assert torch.equal(weights(again.student), weights(whole.student))
