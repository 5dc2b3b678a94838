"""A text is near itself under other dropout, and far from other texts (SimCSE, Gao et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Positive
from spanstream.representations.training.views import alone, some_sentences


@dataclass(frozen=True, slots=True)
class Dropout:
    """`texts`: sentences of a batch, at most."""

    temperature: Positive = 0.05
    texts: Count = 32

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Each sentence twice."""
        chosen = some_sentences(documents, chance, self.texts)
        return Draw([alone(each) for each in chosen for _ in range(2)], self._loss)

    def _loss(self, sight: Sight) -> torch.Tensor:
        wholes = torch.stack([each.whole for each in sight.now])
        return info_nce(wholes[::2], wholes[1::2], torch.arange(len(wholes) // 2), self.temperature)
