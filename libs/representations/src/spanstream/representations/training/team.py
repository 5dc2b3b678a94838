"""Several workers that learn as one: each reads its share of a step's texts, and all see the vectors of all.

Every worker draws the same step and weighs the same losses, so that a text is told from those of the whole batch, wherever
they were read. What flows back goes to each worker's own texts only; the mean of what the workers have found is then what
one alone would have (data parallel with gathered negatives, as in CLIP, Radford et al., 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

from spanstream.encoder.encoder import Text
from spanstream.representations.training.student import Student, Vectors

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """Which of `size` workers this one is. Where there are several, they meet in torch.distributed's default group."""

    rank: int = 0
    size: int = 1

    def encode(self, student: Student, texts: Sequence[Text], layers: Sequence[int] = ()) -> list[Vectors]:
        """As `student.encode`, the same on all workers; each encodes a part. All must call it alike."""
        if self.size == 1:
            return student.encode(texts, layers)
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number].text))  # long and short ones to each
        mine = order[self.rank :: self.size]
        found = dict(zip(mine, student.encode([texts[number] for number in mine], layers), strict=True))
        counts = [1 + len(text.ranges) + len(layers) for text in texts]
        every = torch.zeros(sum(counts), student.model.width, device=student.device)
        parts = torch.split(every, counts)
        for number, vectors in found.items():
            parts[number].copy_(torch.cat([vectors.whole[None], vectors.ranges, vectors.early]).detach())
        distributed.all_reduce(every)  # all but one worker add nothing to a row
        return [
            self._own(found[number])
            if number in found
            else Vectors(part[0], part[1 : len(part) - len(layers)], part[len(part) - len(layers) :])
            for number, part in enumerate(parts)
        ]

    def average(self, learning: Iterable[torch.nn.Parameter]) -> None:
        """Give each parameter the mean of its gradients on all workers; one that no worker has a gradient for has none."""
        if self.size == 1:
            return
        every = list(learning)
        known = torch.tensor([float(each.grad is not None) for each in every], device=every[0].device)
        distributed.all_reduce(known)
        for parameter, some in zip(every, known.tolist(), strict=True):
            if some:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def told(self, value: T) -> T:
        """What the first worker says, on all of them."""
        if self.size == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said)
        return said[0]

    def _own(self, vectors: Vectors) -> Vectors:
        """What flows back through these does so on one worker only: it counts `size` times in the mean."""
        for each in vectors:
            if each.requires_grad:
                each.register_hook(lambda gradient: gradient * self.size)  # type: ignore[no-untyped-call]
        return vectors


ALONE = Team()
