"""The best candidates of a question side by side: what they are compared with each other by. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.store.points import Vectors


@dataclass(frozen=True, slots=True)
class Pool:
    """n passages, best first: unit vectors `dense` [n, d], and the `weights` [n, t] of the t `terms` that occur in any of them."""

    dense: NDArray[np.float32] = field(repr=False)
    terms: NDArray[np.uint32] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, passages: Sequence[Vectors]) -> Pool:
        """At least one passage."""
        indices = [passage.lexical.indices for passage in passages]
        terms, columns = np.unique(np.concatenate(indices), return_inverse=True)
        weights = np.zeros((len(passages), len(terms)), np.float32)
        rows = np.repeat(np.arange(len(passages)), [len(each) for each in indices])
        weights[rows, columns] = np.concatenate([passage.lexical.values for passage in passages])
        return cls(np.stack([passage.dense for passage in passages]), terms, weights)

    @property
    def rarity(self) -> NDArray[np.float32]:
        """[t]: the inverse document frequency within the pool, as BM25 has it. What all have in common says little here."""
        held = (self.weights > 0).sum(axis=0)
        rarity: NDArray[np.float32] = np.log1p((len(self.weights) - held + 0.5) / (held + 0.5)).astype(np.float32)
        return rarity
