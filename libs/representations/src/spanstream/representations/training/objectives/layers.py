"""Layers below the last one find what it finds, and so do the first components of each (2D Matryoshka, Li et al., 2024).

A release may then name a lower layer and fewer components, and answers faster, from the same weights. The paper draws one
layer for each step; here all that are named learn in each, for one pass gives them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import agreement, at_prefixes, info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Counts, NotNegative, Positive
from spanstream.representations.training.views import alone, some_sentences, thinned


@dataclass(frozen=True, slots=True)
class Layers:
    """`layers`: which learn beside the last one, from 1; `dimensions`: of each, beside all components; `agree`: the weight of
    preferring what the last layer prefers; `texts`: sentences of a batch, at most.
    """

    layers: Counts = (2, 4)
    dimensions: Counts = (192, 96)
    agree: NotNegative = 1.0
    temperature: Positive = 0.05
    texts: Count = 32

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Sentences, and words of each."""
        texts = some_sentences(documents, chance, self.texts)
        every = [alone(each) for text in texts for each in (text, thinned(text, chance, 0.3, 0.7))]
        return Draw(every, self._loss, layers=self.layers)

    def _loss(self, sight: Sight) -> torch.Tensor:
        last = torch.stack([each.whole for each in sight.now])
        own = torch.arange(len(last) // 2)
        sizes = [size for size in self.dimensions if size < last.shape[1]] + [last.shape[1]]

        def found(anchors: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
            return info_nce(anchors, candidates, own, self.temperature)

        wanted = last[1::2] @ last[::2].T / self.temperature
        losses = [at_prefixes(found, last[1::2], last[::2], sizes)]
        for early in torch.stack([each.early for each in sight.now], dim=1):
            scores = early[1::2] @ early[::2].T / self.temperature
            losses.append(at_prefixes(found, early[1::2], early[::2], sizes) + self.agree * agreement(scores, wanted))
        return torch.stack(losses).mean()
