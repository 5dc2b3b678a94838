"""A learned linear blend as a rerank stage: what a score is the sum of, each part with a weight learned from judgements."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanstream.store.points import Passage

# What a hybrid search's score of one text or example is the sum of, as an explanation names it.
COMPONENTS = ("dense", "spans", "lexical", "feedback", "neighbours")


class InvalidWeights(ValueError):
    """The file is not what `spanstream tune` writes."""


class Blend:
    """A rerank stage with these weights; a component without one counts as it did."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    def __call__(
        self, texts: Sequence[str], passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32] | None:
        """[1, passages]; None of a set of meanings, whose score is no sum."""
        if not told:
            return None
        parts = [self._weights.get(name, 1.0) * part for name, part in told.items()]
        scores: NDArray[np.float32] = np.sum(parts, axis=0).astype(np.float32)
        return scores[None]


def read_weights(path: Path) -> Mapping[str, float]:
    """The weights in a file of `spanstream tune`. Raises InvalidWeights or OSError."""
    try:
        told = {str(name): float(value) for name, value in json.loads(path.read_text())["weights"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidWeights(f"{path} is not what `spanstream tune` writes") from error
    if unknown := sorted(told.keys() - set(COMPONENTS)):
        raise InvalidWeights(f"{path} has a weight for {unknown[0]}, which this release does not know: tune again")
    if not all(map(math.isfinite, told.values())):
        raise InvalidWeights(f"{path} has a weight that is not finite")
    return told
