"""The reranker port: how well texts answer a query, read together with it. Dearer than an encoder, so for a few texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.errors import InvalidVectors


class Reranker(Protocol):
    """Thread-safe."""

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """[texts]: the higher the better, on a scale of the model's own; what does not fit its window is cut off.

        Raises EncoderUnavailable, EncoderRejected or InvalidVectors.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


def check_scores(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The scores, if they are `count` finite ones; raises InvalidVectors."""
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise InvalidVectors(f"{count} texts were to be scored, the answer is of shape {scores.shape} or not finite")
    return scores
