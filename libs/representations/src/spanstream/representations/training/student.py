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
from torch.nn.functional import normalize

from spanstream.encoder.encoder import Text
from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.model import Model, find, load, quiet
from spanstream.representations.modules import Normalize, read_modules
from spanstream.representations.poolings import Pooling
from spanstream.representations.rows import Pieces, Plan, plan

_BUDGET = 4096  # tokens, padding included, of one forward pass
_MIN_GAIN = 1.5  # of bfloat16's products: what stays in float32 is converted forth and back
_WEIGHTS = (".safetensors", ".bin", ".h5", ".ot", ".msgpack", ".onnx")


class Vectors(NamedTuple):
    """Unit vectors of one text: `whole` [dimension], `ranges` [n, dimension]."""

    whole: torch.Tensor
    ranges: torch.Tensor


@dataclass(frozen=True, slots=True)
class Student:
    """`folder` is what it started from; `model` says how texts are read, and never learns.

    `mixed`: products are in bfloat16, weights and sums in float32 (mixed precision, Micikevicius et al., 2018).
    """

    folder: Path
    model: Model = field(repr=False)
    network: torch.nn.Module = field(repr=False)
    mixed: bool = False

    def encode(self, texts: Sequence[Text]) -> list[Vectors]:
        """Of each text, as the encoder gives them in float32; gradients flow where they are on."""
        read = self.model.read(texts, query=False)
        plans = [plan(self.model, text, tokens) for text, tokens in zip(texts, read, strict=True)]
        width = self.model.width
        sums = [torch.zeros(len(one.tokens) + 1, width) for one in plans]
        for group in _groups(plans):
            states = self._states([plans[number].rows[row].ids for number, row in group])
            for (number, row), own in zip(group, states, strict=True):
                pieces = plans[number].rows[row].pieces
                added = _inside(pieces, own.shape[0]) @ own
                sums[number] = sums[number].index_add(0, torch.from_numpy(pieces.targets).long(), added)
        return [_vectors(one, total) for one, total in zip(plans, sums, strict=True)]

    def save(self, folder: Path) -> None:
        """Write a folder that `load` takes: what it started from, with what was learnt."""
        shutil.copytree(self.folder, folder, ignore=lambda _, names: [name for name in names if _weights(name)])
        own = folder / read_modules(self.folder).folder.relative_to(self.folder)
        with quiet():
            self.network.save_pretrained(own)  # type: ignore[operator]
        description = json.loads((own / "config.json").read_text())
        (own / "config.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")

    def _states(self, rows: Sequence[NDArray[np.int32]]) -> torch.Tensor:
        length = max(len(row) for row in rows)
        ids = torch.full((len(rows), length), self.model.padding)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.from_numpy(row).long()
            mask[number, : len(row)] = 1
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            found: torch.Tensor = self.network(input_ids=ids, attention_mask=mask).last_hidden_state
        return found.float()


def student(name: str) -> Student:
    """The model of a name or folder, ready to learn.

    Raises ModelNotFound, and ModelUnsupported where its pool is a maximum or a layer stands behind it.
    """
    folder = find(name)
    model = load(name)
    if model.pooling is Pooling.MAX or any(not isinstance(head, Normalize) for head in model.heads):
        raise ModelUnsupported(f"training needs a model whose vectors are sums of states; {folder} is none")
    with quiet():
        network = transformers.AutoModel.from_pretrained(read_modules(folder).folder, trust_remote_code=False)
    return Student(folder, model, network.float(), bfloat16_is_faster())


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


def _groups(plans: Sequence[Plan]) -> Iterator[list[tuple[int, int]]]:
    """All rows as (text, row), those of like length together, padded to _BUDGET tokens at most (or one row)."""
    places = [(number, row) for number, one in enumerate(plans) for row in range(len(one.rows))]
    places.sort(key=lambda place: len(plans[place[0]].rows[place[1]].ids))
    group: list[tuple[int, int]] = []
    for place in places:
        length = len(plans[place[0]].rows[place[1]].ids)
        if group and length * (len(group) + 1) > _BUDGET:
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


def _vectors(one: Plan, total: torch.Tensor) -> Vectors:
    unit = normalize(total, dim=1)
    like_whole = torch.from_numpy(one.like_whole)[:, None]
    return Vectors(unit[-1], torch.where(like_whole, unit[-1], unit[:-1]))


def _weights(name: str) -> bool:
    return name.endswith(_WEIGHTS)
