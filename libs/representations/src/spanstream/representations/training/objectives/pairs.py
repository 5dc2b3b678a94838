"""A question finds the passage that answers it among those of the batch and hard negatives (DPR, Karpukhin et al., 2020).

Passages that are known to answer the question too are left out, for they are no negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch

from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Positive
from spanstream.representations.training.views import alone, in_context


@dataclass(frozen=True, slots=True)
class Pairs:
    """Learns from documents with `queries` only."""

    temperature: Positive = 0.05

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """One question of each document that has any, against all documents and what looks like an answer to it."""
        asked = [number for number, document in enumerate(documents) if document.queries]
        questions = [chance.choice(documents[number].queries) for number in asked]
        found = {document.text: document for document in documents}
        for number, question in zip(asked, questions, strict=True):
            for negative in documents[number].negatives.get(question, ()):
                found.setdefault(negative.text, negative)
        candidates = list(found.values())
        places = {text: place for place, text in enumerate(found)}
        own = [places[documents[number].text] for number in asked]
        answers = [
            [question in each.queries and place != mine for place, each in enumerate(candidates)]
            for question, mine in zip(questions, own, strict=True)
        ]
        passages = [in_context(each) for each in candidates] if asked else []
        loss = partial(self._loss, torch.tensor(own), torch.tensor(answers))
        return Draw(passages + [alone(question) for question in questions], loss)

    def _loss(self, own: torch.Tensor, answers: torch.Tensor, sight: Sight) -> torch.Tensor:
        """`answers` [questions, passages]: those that answer a question too, and are not counted against it."""
        count = len(sight.now) - len(own)
        passages = torch.stack([each.ranges[0] for each in sight.now[:count]])
        questions = torch.stack([each.whole for each in sight.now[count:]])
        return info_nce(questions, passages, own, self.temperature, answers)
