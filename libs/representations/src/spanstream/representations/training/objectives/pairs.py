"""A question finds the passage that answers it among those of the batch (in-batch negatives: DPR, Karpukhin et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch

from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.views import alone, in_context


@dataclass(frozen=True, slots=True)
class Pairs:
    """Learns from documents with `queries` only."""

    temperature: float = 0.05

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """One question of each document that has any, against all documents."""
        asked = [number for number, document in enumerate(documents) if document.queries]
        questions = [alone(chance.choice(documents[number].queries)) for number in asked]
        passages = [in_context(document) for document in documents] if asked else []
        return Draw(passages + questions, partial(self._loss, torch.tensor(asked)))

    def _loss(self, own: torch.Tensor, sight: Sight) -> torch.Tensor:
        count = len(sight.now) - len(own)
        passages = torch.stack([each.ranges[0] for each in sight.now[:count]])
        questions = torch.stack([each.whole for each in sight.now[count:]])
        return info_nce(questions, passages, own, self.temperature)
