"""What a search finds: visible documents with their best passages and spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    """A document with its best passages; its score is the best one's. A cursor knows it by its `mark`."""

    head: Head
    score: float
    passages: list[FoundPassage]
    mark: bytes = b""

    def rescored(self, scores: Mapping[str, float]) -> Found:
        """With these scores of its passages, by id, the best passage first."""
        passages = [replace(found, score=scores[found.passage.id]) for found in self.passages]
        passages.sort(key=lambda found: -found.score)
        return replace(self, score=passages[0].score, passages=passages)


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits by falling score, or as diversity chose them. `partial`: there may be more, but the candidates held too many that
    are not visible; `more`: there may be more behind these hits.

    `by_words`: the encoder did not answer, so the ranking is by words alone. `unfinished`: the steps that were left out. `trace`: where
    the question asks to explain.
    """

    hits: Sequence[Found]
    partial: bool
    by_words: bool = False
    unfinished: Sequence[str] = ()
    more: bool = False
    trace: Trace | None = field(default=None, repr=False)
