"""Components of the sentences' vectors vary apart from each other: no few directions take all (VICReg, Bardes et al., 2022).

Together with a contrastive objective it does in training what whitening does to vectors afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from spanstream.representations.training.losses import decorrelation
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.views import in_context


@dataclass(frozen=True, slots=True)
class Decorrelate:
    """It has nothing to be told."""

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """All passages, as the index gets them."""
        return Draw([in_context(document) for document in documents], _loss)


def _loss(sight: Sight) -> torch.Tensor:
    return decorrelation(torch.cat([each.ranges for each in sight.now]))
