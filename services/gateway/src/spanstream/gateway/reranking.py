"""Rerank stages behind one interface: the best passages of an answer, scored again by what would cost too much for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.reranker import Reranker
from spanstream.gateway.found import Found, FoundPassage
from spanstream.gateway.fusion import normalised
from spanstream.store.points import Passage


class Stage(StrEnum):
    """What scores again."""

    LATE = "late"
    CROSS = "cross"


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

    def __call__(self, texts: Sequence[str], passages: Sequence[Passage]) -> NDArray[np.float32]:
        """[texts, passages]: how well each passage answers each text, on any scale; at least one of both."""
        ...


class CrossEncoding:
    """The stage of a cross-encoder, which reads a passage behind its document's title."""

    def __init__(self, model: Reranker) -> None:
        self._model = model

    def __call__(self, texts: Sequence[str], passages: Sequence[Passage]) -> NDArray[np.float32]:
        """[texts, passages]."""
        read = [f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in passages]
        return np.stack([self._model.score(text, read) for text in texts])


def best_passages(hits: Sequence[Found], depth: int) -> list[FoundPassage]:
    """The `depth` best passages of all hits."""
    return sorted((found for hit in hits for found in hit.passages), key=lambda found: -found.score)[:depth]


def reranked(
    hits: Sequence[Found], candidates: Sequence[FoundPassage], scores: NDArray[np.float32], weight: float
) -> list[Found]:
    """The hits by falling score, where `candidates` have both scores, normalised, the new ones [candidates] with `weight`.

    All other passages stay behind these, as far apart as they were.
    """
    before = np.array([found.score for found in candidates], np.float32)
    after = (1 - weight) * normalised(before, 0.0) + weight * normalised(scores, 0.0)
    new = {found.passage.id: float(score) for found, score in zip(candidates, after, strict=True)}
    behind = float(after.min() - before.min())

    def scored(found: FoundPassage) -> FoundPassage:
        return replace(found, score=new.get(found.passage.id, found.score + behind))

    result = []
    for hit in hits:
        passages = sorted(map(scored, hit.passages), key=lambda found: -found.score)
        result.append(replace(hit, score=passages[0].score, passages=passages))
    return sorted(result, key=lambda hit: -hit.score)
