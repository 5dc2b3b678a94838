"""Where a training runs. There need not be a GPU: torch can follow which device each tensor is on without its numbers.

That a mistake of device is found is tested; speed, memory, numbers and bfloat16 on a GPU are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from spanstream.representations.training import checkpoint
from spanstream.representations.training.errors import DeviceUnavailable
from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Assisted, Document, Sight
from spanstream.representations.training.objectives import OBJECTIVES
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.student import Student, student


@pytest.fixture
def on_gpu(folder: Path) -> Iterator[Student]:
    """A student whose weights are on a GPU that is not there; its tensors have places and shapes, and no numbers."""
    learner = student(str(folder), "cpu")
    network = deepcopy(learner.network)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in network.modules():
            for name, weight in list(module._parameters.items()):
                if weight is not None:
                    module._parameters[name] = torch.nn.Parameter(torch.empty(weight.shape, device="cuda"))
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda")
        yield replace(learner, network=network, mixed=False)


def test_a_mistake_of_device_would_be_found(on_gpu: Student) -> None:
    vectors = torch.empty(3, 4, device="cuda")
    assert info_nce(vectors, vectors, torch.arange(3), 1.0).device.type == "cuda"
    with pytest.raises(RuntimeError, match="device"):
        torch.nn.functional.cross_entropy(vectors @ vectors.T, torch.arange(3))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_an_objective_weighs_vectors_where_the_model_is(name: str, on_gpu: Student, documents: list[Document]) -> None:
    objective = OBJECTIVES[name](layers=(1, 2)) if name == "layers" else OBJECTIVES[name]()
    draw = objective.draw(documents[:6], Random(0))
    vectors = on_gpu.encode([*draw.texts, *draw.reference], draw.layers)
    assert {part.device.type for each in vectors for part in each} == {"cuda"}
    with torch.device("cuda"):
        assistant = objective.assistant(on_gpu) if isinstance(objective, Assisted) else None
    loss = draw.loss(Sight(vectors[: len(draw.texts)], lambda: vectors, assistant))
    assert (loss.device.type, loss.shape, loss.dtype) == ("cuda", (), torch.float32)


def test_auto_is_what_there_is_and_others_are_refused_by_name(folder: Path) -> None:
    assert student(str(folder)).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "gpu", "mps:7"):
        with pytest.raises(DeviceUnavailable, match=f"no device {name} here"):
            student(str(folder), name)


def test_a_checkpoint_is_of_no_device(tmp_path: Path) -> None:
    told = {
        "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"params": [0], "betas": (0.9, 0.999)}]}
    }
    checkpoint.save(tmp_path, Recipe(), told)
    assert checkpoint.restore(tmp_path, Recipe()) == told
