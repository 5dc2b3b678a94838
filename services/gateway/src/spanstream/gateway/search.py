"""Search over a store and an encoder: from a question to visible passages with their best spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text, check
from spanstream.events.ids import Key
from spanstream.gateway.fusion import fuse
from spanstream.gateway.spans import FoundSpan, best_by_meaning, best_by_terms
from spanstream.runtime.metrics import GATEWAY_SECONDS
from spanstream.store.lexical import query_terms
from spanstream.store.points import Head, Passage, Sparse, State
from spanstream.store.queries import Condition, Dense, Leg, Lexical, Query, Scope, Spans
from spanstream.store.store import Store

CANDIDATES = 100  # per leg; three per wanted hit where that is more
LOOK = 40  # candidates whose passages and heads are read at a time; four per wanted hit where that is more
REFILLS = 2
GROWTH = 4  # times as many candidates at each refill


Scores = Mapping[str, float]  # by passage id


class Mode(StrEnum):
    """Which legs find and score passages."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPANS = "spans"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Passages of a document are one hit when `by_document`, else each is its own."""

    text: str = field(repr=False)
    mode: Mode = Mode.HYBRID
    limit: int = 10
    where: Condition | None = None
    by_document: bool = True
    passages_per_document: int = 3
    spans_per_passage: int = 1


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
    """Hits by falling score. `partial`: there may be more, but the candidates held too many that are not visible."""

    hits: Sequence[Found]
    partial: bool


class Searcher:
    """Thread-safe. Raises what the ports raise: StoreError, EncoderError."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder

    def search(self, scope: Scope, question: Question, dimension: int) -> Answer:
        """1 embed, 2 find candidates, 3 score them on every leg and fuse, 4 keep what heads show, 5 group, 6 name spans.

        Steps 2 to 5 are repeated with more candidates, at most twice, while there are too few hits.
        """
        terms = query_terms(question.text)
        vector = None if question.mode is Mode.LEXICAL else self._embed(question.text, dimension)  # 1
        finders, scorers = _legs(question.mode, vector, terms)
        depth = max(CANDIDATES, 3 * question.limit)
        hits: list[Found] = []
        more = bool(finders)
        for _ in range(1 + REFILLS):
            if len(hits) >= question.limit or not more:
                break
            found, more = self._find(scope, question.where, finders, depth)  # 2
            ranked = self._score(scope, found, scorers)  # 3
            hits = self._visible(scope, ranked, question)  # 4, 5
            depth *= GROWTH
        short = len(hits) < question.limit
        return Answer(self._with_spans(hits, question.spans_per_passage, vector, terms), partial=short and more)  # 6

    def _embed(self, text: str, dimension: int) -> NDArray[np.float32]:
        """The question's vector [dimension]."""
        with GATEWAY_SECONDS.labels("embed").time():
            texts = [Text(text, np.zeros((0, 2), np.int32))]
            results = self._encoder.encode(texts, query=True)
            check(texts, results, dimension)
            return results[0].whole

    def _find(
        self, scope: Scope, where: Condition | None, finders: Mapping[str, Leg], depth: int
    ) -> tuple[dict[str, Scores], bool]:
        """The best of each leg, and whether any leg may have more."""
        with GATEWAY_SECONDS.labels("find").time():
            found = self._store.rank([Query(leg, scope, depth, where) for leg in finders.values()])
        return dict(zip(finders, map(dict, found), strict=True)), any(len(leg) == depth for leg in found)

    def _score(self, scope: Scope, found: Mapping[str, Scores], scorers: Mapping[str, Leg]) -> list[tuple[str, float]]:
        """The ids of all candidates with their fused scores, falling; each is scored exactly on every leg."""
        ids = sorted({id for leg in found.values() for id in leg})
        if len(scorers) > 1 and ids:
            with GATEWAY_SECONDS.labels("score").time():
                exact = self._store.rank([Query(leg, scope, len(ids), None, ids) for leg in scorers.values()])
            found = dict(zip(scorers, map(dict, exact), strict=True))
        # A passage without a term in common has no lexical score, one without spans no span score.
        legs = {name: np.array([scores.get(id, 0.0) for id in ids], np.float32) for name, scores in found.items()}
        fused = fuse(legs).tolist()
        return sorted(zip(ids, fused, strict=True), key=lambda each: -each[1])

    def _visible(self, scope: Scope, ranked: Sequence[tuple[str, float]], question: Question) -> list[Found]:
        """The first hits: passages that a live head names and that admits the caller, by document where asked.

        Passages and heads are read a few at a time, so that further passages of a found document are the best of
        those looked at.
        """
        size = max(LOOK, 4 * question.limit)
        heads: dict[Key, Head] = {}
        hits: dict[Key | str, Found] = {}
        for start in range(0, len(ranked), size):
            if len(hits) >= question.limit:
                break
            with GATEWAY_SECONDS.labels("heads").time():
                window = ranked[start : start + size]
                passages = self._store.fetch([id for id, _ in window])
                unknown = {passage.key for passage in passages.values()} - heads.keys()
                heads |= self._store.heads(list(unknown))
            for id, score in window:
                passage = passages.get(id)
                head = passage and heads.get(passage.key)
                if passage and head and shows(head, passage, scope):
                    hit = hits.setdefault(passage.key if question.by_document else id, Found(head, score, []))
                    if len(hit.passages) < question.passages_per_document:
                        hit.passages.append(FoundPassage(passage, score))
        return list(hits.values())[: question.limit]

    def _with_spans(
        self, hits: Sequence[Found], count: int, vector: NDArray[np.float32] | None, terms: Sparse
    ) -> list[Found]:
        """The hits with the best spans of their passages: by meaning, or by terms alone where there is no vector."""
        if not count:
            return list(hits)
        with GATEWAY_SECONDS.labels("spans").time():
            ids = [found.passage.id for hit in hits for found in hit.passages]
            vectors = self._store.span_vectors(ids) if ids and vector is not None else {}

            def named(found: FoundPassage) -> FoundPassage:
                passage = found.passage
                if vector is None:
                    return replace(found, spans=best_by_terms(passage, terms, count))
                spans = vectors.get(passage.id)
                return (
                    found
                    if spans is None
                    else replace(found, spans=best_by_meaning(passage, spans, vector, terms, count))
                )

            return [replace(hit, passages=[named(found) for found in hit.passages]) for hit in hits]


def shows(head: Head, passage: Passage, scope: Scope) -> bool:
    """Whether the head makes this passage visible to this caller."""
    named = (head.body_version, head.content_hash) == (passage.version, passage.content_hash)
    return named and head.state is State.LIVE and admits(head.groups, scope)


def admits(groups: Sequence[str], scope: Scope) -> bool:
    """Whether the caller may see what has these groups: none, or one of the caller's."""
    return scope.groups is None or not groups or not set(scope.groups).isdisjoint(groups)


def _legs(mode: Mode, vector: NDArray[np.float32] | None, terms: Sparse) -> tuple[dict[str, Leg], dict[str, Leg]]:
    """The legs that find candidates, and those that score them. Words of no weight make no lexical leg."""
    lexical: dict[str, Leg] = {"lexical": Lexical(terms)} if len(terms.indices) else {}
    if vector is None:
        return lexical, lexical
    dense: dict[str, Leg] = {"dense": Dense(vector)}
    spans: dict[str, Leg] = {"spans": Spans(vector)}
    if mode is Mode.HYBRID:
        return dense | lexical, dense | spans | lexical
    only = dense if mode is Mode.DENSE else spans
    return only, only
