"""What a training that was stopped goes on from: written whole or not at all."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from spanstream.representations.training.errors import CheckpointInvalid, TrainingFailed
from spanstream.representations.training.recipe import Recipe

FILE = "checkpoint.pt"


def save(folder: Path, recipe: Recipe, state: dict[str, Any]) -> None:
    """Replace the checkpoint. Raises TrainingFailed where the disk does not take it; then the old one stays."""
    new = folder / f"{FILE}.new"
    try:
        torch.save(_on_processor({"recipe": asdict(recipe), **state}), new)
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, folder / FILE)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter
        new.unlink(missing_ok=True)
        told = getattr(error, "strerror", None) or "its disk is full, or goes away"
        raise TrainingFailed(f"the checkpoint cannot be written to {folder}: {told}") from error


def restore(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The last one; None where there is none. Raises CheckpointInvalid."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        told = state.pop("recipe")
    except (OSError, RuntimeError, EOFError, LookupError, AttributeError, pickle.UnpicklingError) as error:
        raise CheckpointInvalid(f"{path} is damaged; remove it to begin again") from error
    if told != asdict(recipe):
        raise CheckpointInvalid(f"{path} is of another recipe; train into another folder, or remove it")
    return state


def _on_processor(value: Any) -> Any:
    """The same with its tensors in this process' memory, so that it can be read where there is no such device."""
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, Mapping):
        return {key: _on_processor(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_processor(each) for each in value)
    return value
