"""A few words of a sentence find that sentence in its passage, and neither its neighbours nor other passages.

A sentence that is pooled from its passage's pass looks like its neighbours; this draws them apart (propositions against
those of the same text: Sub-Sentence Encoder, Chen et al., 2023; the words as a query: inverse cloze task, Lee et al., 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch

from spanstream.representations.training.losses import info_nce, suspects
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Positive, Share
from spanstream.representations.training.student import Vectors
from spanstream.representations.training.views import alone, crop, in_context, sentence, sentences, thinned


@dataclass(frozen=True, slots=True)
class Sentences:
    """`queries`: of a batch, at most; `least` and `most`: shares of a sentence's words."""

    temperature: Positive = 0.05
    queries: Count = 32
    least: Share = 0.3
    most: Share = 0.7

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """All passages, and words of some of their sentences: half of them runs, half of them here and there."""
        found = sentences(documents)
        chosen = sorted(chance.sample(range(len(found)), min(self.queries, len(found))))
        words = []
        for number in chosen:
            cut = crop if chance.random() < 0.5 else thinned
            words.append(alone(cut(sentence(documents, found[number]), chance, self.least, self.most)))
        passages = [in_context(document) for document in documents]
        return Draw(passages + words, partial(self._loss, len(passages), torch.tensor(chosen)))

    def _loss(self, passages: int, own: torch.Tensor, sight: Sight) -> torch.Tensor:
        queries, found = _parts(sight.now, passages)
        with torch.no_grad():
            left_out = suspects(*_parts(sight.start(), passages), own)
        return info_nce(queries, found, own, self.temperature, left_out)


def _parts(vectors: Sequence[Vectors], passages: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The queries' vectors, and those of all sentences (the first range of a passage is the passage)."""
    return torch.stack([each.whole for each in vectors[passages:]]), torch.cat(
        [each.ranges[1:] for each in vectors[:passages]]
    )
