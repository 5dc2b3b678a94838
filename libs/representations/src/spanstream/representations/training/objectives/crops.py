"""Two crops of one text are near, those of different texts far (independent cropping: Contriever, Izacard et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Positive, Share
from spanstream.representations.training.views import alone, crop


@dataclass(frozen=True, slots=True)
class Crops:
    """`least` and `most`: shares of a text's words."""

    temperature: Positive = 0.05
    least: Share = 0.1
    most: Share = 0.5

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Two crops a document."""
        texts = [crop(document.text, chance, self.least, self.most) for document in documents for _ in range(2)]
        return Draw([alone(text) for text in texts], self._loss)

    def _loss(self, sight: Sight) -> torch.Tensor:
        wholes = torch.stack([each.whole for each in sight.now])
        first, second = wholes[::2], wholes[1::2]
        own = torch.arange(len(first))
        return (info_nce(first, second, own, self.temperature) + info_nce(second, first, own, self.temperature)) / 2
