"""Rerank stages behind one interface: the best passages of an answer, scored again by what would cost too much for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.reranker import Reranker
from spanstream.gateway.found import Found, FoundPassage
from spanstream.gateway.fusion import normalised
from spanstream.gateway.ranked import Ranked, aligned, falling
from spanstream.store.points import Passage


class Stage(StrEnum):
    """What scores again."""

    LATE = "late"
    CROSS = "cross"
    BLEND = "blend"

    @property
    def weight(self) -> float:
        """Beside the ranking so far, where the caller says nothing: docs/decisions/0015-rerank-stages.md."""
        return {Stage.LATE: 0.3, Stage.CROSS: 0.5, Stage.BLEND: 1.0}[self]


class NoSuchStage(LookupError):
    """This gateway has not been given what the stage needs."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """Score the `depth` best passages of an answer by `stage`, which has `weight` beside the ranking so far."""

    stage: Stage
    depth: int
    weight: float


class Rescorer(Protocol):
    """A stage. May raise an EncoderError."""

    def __call__(
        self, texts: Sequence[str], passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32] | None:
        """[texts, passages]: how well each passage answers each text, on any scale; None: it has nothing to say.

        At least one of both. `told`: what the ranking so far is the sum of, by name [passages].
        """
        ...


class CrossEncoding:
    """The stage of a cross-encoder, which reads a passage behind its document's title."""

    def __init__(self, model: Reranker) -> None:
        self._model = model

    def __call__(
        self, texts: Sequence[str], passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """[texts, passages]."""
        read = [f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in passages]
        return np.stack([self._model.score(text, read) for text in texts])


def best_passages(hits: Sequence[Found], depth: int) -> list[FoundPassage]:
    """The `depth` best passages of all hits."""
    return sorted((found for hit in hits for found in hit.passages), key=lambda found: -found.score)[:depth]


def reranked(ranked: Ranked, ids: Sequence[str], scores: NDArray[np.float32], weight: float) -> Ranked:
    """All candidates, falling: those of `ids`, which have both scores, by these normalised, the new ones [ids] with `weight`.

    All others stay behind them, as far apart as they were.
    """
    before = aligned(dict(ranked), ids)
    after = (1 - weight) * normalised(before, 0.0) + weight * normalised(scores, 0.0)
    new = dict(zip(ids, after.tolist(), strict=True))
    first = max((score for id, score in ranked if id not in new), default=-np.inf)
    behind = float(after.min() - max(before.min(), first))
    return falling((id, new.get(id, score + behind)) for id, score in ranked)
