"""A model that learns: the same tokens, windows and pools as the encoder's, with gradients."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch.nn.functional import normalize

from spanstream.encoder.encoder import Text
from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.model import Model, find, load, quiet
from spanstream.representations.modules import Normalize, read_modules
from spanstream.representations.poolings import Pooling
from spanstream.representations.rows import Pieces, Plan, plan
from spanstream.representations.training.errors import DeviceUnavailable, TrainingFailed

_BUDGET = 4096  # tokens, padding included, of one forward pass on a processor
_ACCELERATOR_BUDGET = 16 * _BUDGET
_MIN_GAIN = 1.5  # of bfloat16's products: what stays in float32 is converted forth and back
AUTO = "auto"
_WEIGHTS = (".safetensors", ".bin", ".h5", ".ot", ".msgpack", ".onnx")


_NONE = torch.empty(0, 0)


class Vectors(NamedTuple):
    """Unit vectors of one text: `whole` [dimension], `ranges` [n, dimension], `early` [l, dimension]: the whole's after each
    of the layers that were asked for.
    """

    whole: torch.Tensor
    ranges: torch.Tensor
    early: torch.Tensor = _NONE


@dataclass(frozen=True, slots=True)
class Student:
    """`folder` is what it started from; `model` says how texts are read, and never learns.

    `mixed`: products are in bfloat16, weights and sums in float32 (mixed precision, Micikevicius et al., 2018).
    """

    folder: Path
    model: Model = field(repr=False)
    network: torch.nn.Module = field(repr=False)
    mixed: bool = False

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    def encode(self, texts: Sequence[Text], layers: Sequence[int] = ()) -> list[Vectors]:
        """Of each text, as the encoder gives them in float32; gradients flow where they are on.

        `layers`: 1 is the first. Raises ModelUnsupported where there are not so many.
        """
        read = self.model.read(texts, query=False)
        plans = [plan(self.model, text, tokens) for text, tokens in zip(texts, read, strict=True)]
        width, device = self.model.width * (1 + len(layers)), self.device
        sums = [torch.zeros(len(one.tokens) + 1, width, device=device) for one in plans]
        for group in _groups(plans, _BUDGET if device.type == "cpu" else _ACCELERATOR_BUDGET):
            states = self._states([plans[number].rows[row].ids for number, row in group], layers)
            for (number, row), own in zip(group, states, strict=True):
                pieces = plans[number].rows[row].pieces
                added = _inside(pieces, own.shape[0]).to(device) @ own
                targets = torch.from_numpy(pieces.targets).long().to(device)
                sums[number] = sums[number].index_add(0, targets, added)
        return [_vectors(one, total, self.model.width) for one, total in zip(plans, sums, strict=True)]

    def save(self, folder: Path) -> None:
        """Write a folder that `load` takes: what it started from, with what was learnt. Raises OSError and TrainingFailed."""
        shutil.copytree(self.folder, folder, ignore=lambda _, names: [name for name in names if _weights(name)])
        own = folder / read_modules(self.folder).folder.relative_to(self.folder)
        try:
            with quiet():
                self.network.save_pretrained(own)  # type: ignore[operator]
        except SafetensorError as error:
            raise TrainingFailed(f"the model cannot be written to {folder}: {error}") from error
        description = json.loads((own / "config.json").read_text())
        (own / "config.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")

    def _states(self, rows: Sequence[NDArray[np.int32]], layers: Sequence[int]) -> torch.Tensor:
        """[rows, length, width]: after the last layer, then beside it after each of `layers`."""
        length = max(len(row) for row in rows)
        ids = torch.full((len(rows), length), self.model.padding)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.from_numpy(row).long()
            mask[number, : len(row)] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            found = self.network(input_ids=ids, attention_mask=mask, output_hidden_states=bool(layers))
        states: list[torch.Tensor] = [found.last_hidden_state]
        if layers:
            count = len(found.hidden_states) - 1
            if not all(0 < layer <= count for layer in layers):
                raise ModelUnsupported(f"layers {list(layers)} of a model that has {count}: name 1 to {count}")
            states += [found.hidden_states[layer] for layer in layers]
        return torch.cat([each.float() for each in states], dim=2)


def student(name: str, device: str = AUTO) -> Student:
    """The model of a name or folder, ready to learn on a device of torch; AUTO takes a GPU where there is one.

    Raises ModelNotFound, ModelUnsupported where its pool is a maximum or a layer stands behind it, and DeviceUnavailable.
    """
    place = device_of(device)
    folder = find(name)
    model = load(name)
    if model.pooling is Pooling.MAX or any(not isinstance(head, Normalize) for head in model.heads):
        raise ModelUnsupported(f"training needs a model whose vectors are sums of states; {folder} is none")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)  # what the files lack and nothing reads (a pooler) is saved too: the same each time
        network = transformers.AutoModel.from_pretrained(read_modules(folder).folder, trust_remote_code=False)
    mixed = bfloat16_is_faster() if place.type == "cpu" else place.type == "cuda" and torch.cuda.is_bf16_supported()
    return Student(folder, model, network.float().to(place), mixed)


def device_of(name: str) -> torch.device:
    """Of torch; AUTO is a GPU where there is one. Raises DeviceUnavailable."""
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(name)
        torch.zeros(1, device=place).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # the second where torch has no CUDA
        raise DeviceUnavailable(f"there is no device {name} here: {AUTO} and cpu always work") from error
    return place


@cache
def bfloat16_is_faster() -> bool:
    """On this processor, measured on products as large as a forward pass has them; takes 0.1 s."""
    best = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones((1024, 384), dtype=dtype), torch.ones((384, 1536), dtype=dtype)
        seconds = []
        for _ in range(4):
            begun = time.perf_counter()
            torch.mm(left, right)
            seconds.append(time.perf_counter() - begun)
        best[dtype] = min(seconds)
    return best[torch.float32] > _MIN_GAIN * best[torch.bfloat16]


def _groups(plans: Sequence[Plan], budget: int) -> Iterator[list[tuple[int, int]]]:
    """All rows as (text, row), those of like length together, padded to `budget` tokens at most (or one row)."""
    places = [(number, row) for number, one in enumerate(plans) for row in range(len(one.rows))]
    places.sort(key=lambda place: len(plans[place[0]].rows[place[1]].ids))
    group: list[tuple[int, int]] = []
    for place in places:
        length = len(plans[place[0]].rows[place[1]].ids)
        if group and length * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _inside(pieces: Pieces, length: int) -> torch.Tensor:
    """[p, length]: how much each position of a row adds to each of its pieces."""
    position = torch.arange(length)
    edges, weights = torch.from_numpy(pieces.bounds), torch.from_numpy(pieces.weights)
    inside = (position >= edges[:, :1]) & (position < edges[:, 1:])
    return inside * (weights[:, :1] + weights[:, 1:] * (position - edges[:, :1]))


def _vectors(one: Plan, total: torch.Tensor, width: int) -> Vectors:
    """Of sums [targets, readings times width]."""
    unit = normalize(total.view(len(total), -1, width), dim=2)
    like_whole = torch.from_numpy(one.like_whole)[:, None].to(total.device)
    return Vectors(unit[-1, 0], torch.where(like_whole, unit[-1, 0], unit[:-1, 0]), unit[-1, 1:])


def _weights(name: str) -> bool:
    return name.endswith(_WEIGHTS)
