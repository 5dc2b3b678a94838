"""What a search is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spanstream.gateway.boosts import Boost
from spanstream.gateway.fusion import Fusion
from spanstream.gateway.meanings import Meaning
from spanstream.gateway.recency import Recency
from spanstream.gateway.reranking import Rerank
from spanstream.store.queries import Condition


class Mode(StrEnum):
    """Which legs find and score passages."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPANS = "spans"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Question:
    """Passages of a document are one hit when `by_document`, else each is its own."""

    meaning: Meaning  # canonical
    mode: Mode = Mode.HYBRID
    limit: int = 10
    where: Condition | None = None
    by_document: bool = True
    passages_per_document: int = 3
    spans_per_passage: int = 1
    fusion: Fusion = Fusion.CONVEX
    expand: bool = False  # by the writer that is plugged in
    boosts: tuple[Boost, ...] = ()
    recency: Recency | None = None
    rerank: Rerank | None = None
    diversity: float = 0.0
    shown: frozenset[bytes] = frozenset()  # marks of the hits of earlier pages
    explain: bool = False
