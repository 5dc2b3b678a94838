"""What a search finds: visible documents with their best passages and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spanstream.gateway.spans import FoundSpan
from spanstream.gateway.trace import Trace
from spanstream.store.points import Head, Passage


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A visible passage; scores compare only within one answer."""

    passage: Passage
    score: float
    spans: Sequence[FoundSpan] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A document with its best passages; its score is the best one's."""

    head: Head
    score: float
    passages: list[FoundPassage]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits by falling score. `partial`: there may be more, but the candidates held too many that are not visible.

    `by_words`: the encoder did not answer, so the ranking is by words alone. `unfinished`: steps that were left out.
    `trace`: where the question asks to explain.
    """

    hits: Sequence[Found]
    partial: bool
    by_words: bool = False
    unfinished: Sequence[str] = ()
    trace: Trace | None = field(default=None, repr=False)
