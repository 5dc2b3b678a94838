"""A sentence in its passage learns the mean of two readings that the model had at the start: in the passage, and alone.

One reading knows the context, the other one only what is said. Their mean finds answers better than either, and costs two
passes; taught to the first, it costs one (self-distillation: Born-Again Networks, Furlanello et al., 2018, with the two
readings as teachers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from torch.nn.functional import normalize

from spanstream.representations.training.losses import distance
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Share
from spanstream.representations.training.views import alone, in_context, sentence, sentences


@dataclass(frozen=True, slots=True)
class Consensus:
    """`alone`: the weight of the reading alone, 0..1."""

    alone: Share = 0.5

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """All passages, and all their sentences."""
        passages = [in_context(document) for document in documents]
        read = [alone(sentence(documents, place)) for place in sentences(documents)]
        return Draw(passages, partial(self._loss, len(passages)), read)

    def _loss(self, passages: int, sight: Sight) -> torch.Tensor:
        start = sight.start()
        inside = torch.cat([each.ranges[1:] for each in start[:passages]])
        apart = torch.stack([each.whole for each in start[passages:]])
        target = normalize(self.alone * apart + (1 - self.alone) * inside, dim=1)
        return distance(torch.cat([each.ranges[1:] for each in sight.now]), target)
