"""Passages, and words like queries, stay where the model put them at the start (distillation: Hinton et al., 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import distance
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count
from spanstream.representations.training.views import alone, in_context, some_sentences, thinned


@dataclass(frozen=True, slots=True)
class Keep:
    """`queries`: of a batch, at most."""

    queries: Count = 32

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """All passages, and words of some sentences."""
        words = [alone(thinned(each, chance, 0.3, 1.0)) for each in some_sentences(documents, chance, self.queries)]
        return Draw([in_context(document) for document in documents] + words, _loss)


def _loss(sight: Sight) -> torch.Tensor:
    start = torch.stack([each.whole for each in sight.start()])
    return distance(torch.stack([each.whole for each in sight.now]), start)
