"""The first components of a vector find what all of them find (Matryoshka representations, Kusupati et al., 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import at_prefixes, info_nce
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Counts, Positive
from spanstream.representations.training.views import alone, some_sentences, thinned


@dataclass(frozen=True, slots=True)
class Matryoshka:
    """`dimensions`: how many components; `texts`: sentences of a batch, at most."""

    dimensions: Counts = (192, 128, 96, 64, 48)
    temperature: Positive = 0.05
    texts: Count = 32

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Sentences, and words of each."""
        texts = some_sentences(documents, chance, self.texts)
        return Draw([alone(each) for text in texts for each in (text, thinned(text, chance, 0.3, 0.7))], self._loss)

    def _loss(self, sight: Sight) -> torch.Tensor:
        wholes = torch.stack([each.whole for each in sight.now])
        own = torch.arange(len(wholes) // 2)
        return at_prefixes(
            lambda anchors, candidates: info_nce(anchors, candidates, own, self.temperature),
            wholes[1::2],
            wholes[::2],
            [size for size in self.dimensions if size < wholes.shape[1]] or [wholes.shape[1]],
        )
