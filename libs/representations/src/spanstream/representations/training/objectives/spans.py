"""A text is nearer to its own spans than to those of other texts (contrastive span prediction: COSTA, Ma et al., 2022).

The paper draws spans of words, phrases, sentences and paragraphs; here they are runs of whole sentences, which is what
is searched, pooled from the pass that reads the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np
import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.training.losses import group_contrast
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Positive


@dataclass(frozen=True, slots=True)
class Spans:
    """`spans`: of each text; `longest`: sentences of one."""

    temperature: Positive = 0.05
    spans: Count = 4
    longest: Count = 3

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Each document with runs of its sentences; those of one sentence have no part that is not the whole."""
        several = [document for document in documents if len(document.sentences) > 1]
        texts = [Text(each.text, self._runs(each, chance), each.title) for each in several]
        owner = torch.arange(len(texts)).repeat_interleave(self.spans)
        return Draw(texts, partial(self._loss, owner))

    def _runs(self, document: Document, chance: Random) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
        found = []
        for _ in range(self.spans):
            size = chance.randint(1, min(self.longest, len(document.sentences) - 1))
            first = chance.randint(0, len(document.sentences) - size)
            found.append((document.sentences[first][0], document.sentences[first + size - 1][1]))
        return np.array(found, np.int32)

    def _loss(self, owner: torch.Tensor, sight: Sight) -> torch.Tensor:
        parts = torch.cat([each.ranges for each in sight.now])
        return group_contrast(torch.stack([each.whole for each in sight.now]), parts, owner, self.temperature)
