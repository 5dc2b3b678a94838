"""One vector each finds what the words of both, each by itself, find.

The teacher is the model as it was at the start, by late interaction: each word of a query takes the nearest word of a
sentence, and the mean of these cosines is the sentence's score (MaxSim of ColBERT, Khattab and Zaharia, 2020). That finds the
sentence that answers far better than one vector each, and costs a vector a word; which sentences of the batch it prefers is
taught to one vector each (TCT-ColBERT, Lin et al., 2021, of labelled queries and passages).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch

from spanstream.representations.training.losses import agreement, late_interaction
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Positive, Share
from spanstream.representations.training.views import alone, by_words, in_context, some_sentences, thinned, words


@dataclass(frozen=True, slots=True)
class Interaction:
    """`queries`: of a batch, at most; `least` and `most`: shares of a sentence's words."""

    temperature: Positive = 0.05
    queries: Count = 48
    least: Share = 0.2
    most: Share = 0.6

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """All passages, and words of some of their sentences; the teacher reads the words of both."""
        chosen = some_sentences(documents, chance, self.queries)
        asked = [thinned(each, chance, self.least, self.most) for each in chosen]
        texts = [in_context(document) for document in documents] + [alone(text) for text in asked]
        read, owner, first = [], list[int](), 0
        for document in documents:
            inside = [words(document.text, *bounds) for bounds in document.sentences]
            owner += [first + number for number, places in enumerate(inside) for _ in places]
            first += len(inside)
            read.append(by_words(document.text, [place for places in inside for place in places], document.title))
        read += [by_words(text, words(text)) for text in asked]
        return Draw(texts, partial(self._loss, len(documents), torch.tensor(owner)), read)

    def _loss(self, passages: int, owner: torch.Tensor, sight: Sight) -> torch.Tensor:
        queries = torch.stack([each.whole for each in sight.now[passages:]])
        found = torch.cat([each.ranges[1:] for each in sight.now[:passages]])
        read = [each.ranges for each in sight.start()[len(sight.now) :]]
        wanted = late_interaction(read[passages:], torch.cat(read[:passages]), owner, len(found))
        return agreement(queries @ found.T / self.temperature, wanted / self.temperature)
