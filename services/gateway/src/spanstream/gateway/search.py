"""Search over a store and an encoder: from a question to visible passages with their best spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.events.ids import Key
from spanstream.gateway import feedback, neighbours
from spanstream.gateway.asking import Asked, Encodes, read
from spanstream.gateway.deadline import ENCODER_CALLS, Deadline
from spanstream.gateway.fusion import fuse, grades
from spanstream.gateway.meanings import Example, Leaf, Meaning, grade, leaves, sought
from spanstream.gateway.pool import Pool
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.spans import FoundSpan, best
from spanstream.gateway.visibility import shows
from spanstream.runtime.logs import get_logger
from spanstream.runtime.metrics import GATEWAY_SECONDS
from spanstream.store.points import Head, Passage, Vectors
from spanstream.store.queries import AllOf, Condition, Dense, Leg, Lexical, Match, Not, Query, Scope, Spans
from spanstream.store.store import Store

CANDIDATES = 100  # per leg; three per wanted hit where that is more
LOOK = 40  # candidates whose passages and heads are read at a time; four per wanted hit where that is more
POOL = 64  # best candidates that are compared with each other
REFILLS = 2
GROWTH = 4  # times as many candidates at each refill

log = get_logger()

Ranked = Sequence[tuple[str, float]]  # passage ids with scores
Scores = Mapping[str, NDArray[np.float32]]  # [candidates] by leg
Combine = Callable[[Sequence[Scores]], NDArray[np.float32]]  # of all that is asked -> [candidates]


class Mode(StrEnum):
    """Which legs find and score passages."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPANS = "spans"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Passages of a document are one hit when `by_document`, else each is its own."""

    meaning: Meaning  # canonical
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
    """Hits by falling score. `partial`: there may be more, but the candidates held too many that are not visible.

    `by_words`: the encoder did not answer, so the ranking is by words alone. `unfinished`: the steps that the deadline left out.
    """

    hits: Sequence[Found]
    partial: bool
    by_words: bool = False
    unfinished: Sequence[str] = ()


class Searcher:
    """Thread-safe. Raises what the ports raise: StoreError, EncoderError."""

    def __init__(self, store: Store, encoder: Encoder, cache: QueryCache | None = None) -> None:
        self._store = store
        self._encoder = encoder
        self._cache = cache or QueryCache(0)
        self._calls = ThreadPoolExecutor(ENCODER_CALLS, thread_name_prefix="search-encoder")

    def search(self, scope: Scope, question: Question, dimension: int, deadline: Deadline | None = None) -> Answer:
        """1 read what is asked, 2 find candidates, 3 score them on every leg and fuse, 4 ask again with what the best of
        them say and 5 even out over like passages, both for one text or example in hybrid mode, 6 keep what heads show,
        7 group, 8 name spans.

        Steps 2 to 7 are repeated with more candidates, at most twice, while there are too few hits. A hybrid search goes on
        by words alone while the encoder does not answer. Raises UnknownExample.

        After the `deadline` a search does the least that gives an answer: it finds, scores and reads once, without 4, 5 and 8.
        """
        deadline = deadline or Deadline()
        meaning, mode = question.meaning, question.mode
        wanted = leaves(meaning)
        try:
            encoder = None if mode is Mode.LEXICAL else self._within(deadline, scope)
            asked = read(self._store, encoder, scope, wanted, dimension)  # 1
        except EncoderUnavailable as error:
            if mode is not Mode.HYBRID:
                raise
            log.warning("search_by_words_alone", error=type(error).__name__)
            mode, asked = Mode.LEXICAL, read(self._store, None, scope, wanted, dimension)
        legs = {leaf: _legs(mode, each) for leaf, each in asked.items()}
        scorers, finders = [legs[leaf] for leaf in wanted], [legs[leaf] for leaf in sought(meaning)]
        combine = _mean if len(wanted) == 1 else partial(_graded, meaning, wanted)
        where = _without_examples(question.where, wanted)
        depth = max(CANDIDATES, 3 * question.limit)
        hits: list[Found] = []
        vectors: dict[str, Vectors] = {}  # of the best candidates, which 4 and 5 both look at
        more = any(each.finders for each in finders)
        for attempt in range(1 + REFILLS):
            if len(hits) >= question.limit or not more or (attempt and not deadline.allows("refill")):
                break
            found, more = self._find(scope, where, finders, depth)  # 2
            ranked = self._score(scope, found, scorers, combine)  # 3
            if len(wanted) == 1 and mode is Mode.HYBRID:
                if (
                    len(scorers) == 1
                    and deadline.allows("feedback")
                    and (again := self._again(asked[wanted[0]], ranked, vectors))
                ):  # 4
                    finders, scorers = [*finders, again], [*scorers, again]
                    others, _ = self._find(scope, where, [again], depth)
                    ranked = self._score(scope, [*found, *others], scorers, combine)
                if deadline.allows("neighbours"):
                    ranked = self._evened(ranked, vectors)  # 5
            hits = self._visible(scope, ranked, question)  # 6, 7
            depth *= GROWTH
        short = len(hits) < question.limit
        shown = [asked[leaf] for leaf in sought(meaning)]
        count = question.spans_per_passage if question.spans_per_passage and deadline.allows("spans") else 0
        named = self._with_spans(hits, count, shown)  # 8
        return Answer(named, short and more, by_words=mode is not question.mode, unfinished=tuple(deadline.unfinished))

    def _within(self, deadline: Deadline, scope: Scope) -> Encodes:
        """The encoder as this search may use it: what is remembered is not asked, and takes none of its time."""
        bounded = deadline.within(self._encoder, self._calls)
        return self._cache.before(bounded, self._encoder.info().release, scope.tenant)

    def _find(
        self, scope: Scope, where: Condition | None, asked: Sequence[Legs], depth: int
    ) -> tuple[Sequence[Ranked], bool]:
        """The best of each finding leg, and whether any leg may have more."""
        with GATEWAY_SECONDS.labels("find").time():
            legs = [leg for each in asked for leg in each.finders.values()]
            found = self._store.rank([Query(leg, scope, depth, where) for leg in legs])
        return found, any(len(leg) == depth for leg in found)

    def _score(self, scope: Scope, found: Sequence[Ranked], asked: Sequence[Legs], combine: Combine) -> Ranked:
        """All candidates with their scores, falling: each is scored exactly on every leg of all that is asked."""
        ids = sorted({id for leg in found for id, _ in leg})
        legs = [leg for each in asked for leg in each.scorers.values()]
        if len(legs) == 1 or not ids:
            return [hit for leg in found for hit in leg]  # the one that found them has scored them
        with GATEWAY_SECONDS.labels("score").time():
            exact = iter(self._store.rank([Query(leg, scope, len(ids), None, ids) for leg in legs]))
        # A passage without a term in common has no lexical score, one without spans no span score.
        scores = [{name: _aligned(next(exact), ids) for name in each.scorers} for each in asked]
        return _falling(ids, combine(scores))

    def _again(self, asked: Asked, ranked: Ranked, vectors: dict[str, Vectors]) -> Legs | None:
        """The legs of a second question; none where there are too few candidates to learn from."""
        pool, top = self._pool(ranked, vectors)
        again = feedback.second(asked, pool, _scores(top)) if pool else None
        return _legs(Mode.HYBRID, again) if again else None

    def _evened(self, ranked: Ranked, vectors: dict[str, Vectors]) -> Ranked:
        """The same, the best ones by the scores that their neighbours let them have."""
        pool, top = self._pool(ranked, vectors)
        if pool is None:
            return ranked
        known = {id for id, _ in top}
        evened = _falling([id for id, _ in top], neighbours.evened(_scores(top), pool))
        return sorted([*evened, *(hit for hit in ranked if hit[0] not in known)], key=lambda hit: -hit[1])

    def _pool(self, ranked: Ranked, vectors: dict[str, Vectors]) -> tuple[Pool | None, Ranked]:
        """The best candidates with what they are compared by; without those that have gone meanwhile. Reads what `vectors` lacks."""
        with GATEWAY_SECONDS.labels("compare").time():
            if missing := [id for id, _ in ranked[:POOL] if id not in vectors]:
                vectors |= self._store.vectors(missing)
        top = [hit for hit in ranked[:POOL] if hit[0] in vectors]
        return (Pool.of([vectors[id] for id, _ in top]) if top else None), top

    def _visible(self, scope: Scope, ranked: Ranked, question: Question) -> list[Found]:
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

    def _with_spans(self, hits: Sequence[Found], count: int, asked: Sequence[Asked]) -> list[Found]:
        """The hits with the best spans of their passages: by meaning, or by terms alone where there is no vector."""
        if not count:
            return list(hits)
        with GATEWAY_SECONDS.labels("spans").time():
            ids = [found.passage.id for hit in hits for found in hit.passages]
            meant = any(each.vector is not None for each in asked)
            vectors = self._store.span_vectors(ids) if ids and meant else {}

            def named(found: FoundPassage) -> FoundPassage:
                return replace(found, spans=best(found.passage, vectors.get(found.passage.id), asked, count))

            return [replace(hit, passages=[named(found) for found in hit.passages]) for hit in hits]


@dataclass(frozen=True, slots=True)
class Legs:
    """Of one question: those that find candidates, and those that score them, by name."""

    finders: Mapping[str, Leg]
    scorers: Mapping[str, Leg]


def _legs(mode: Mode, asked: Asked) -> Legs:
    """Words of no weight make no lexical leg."""
    vector = asked.vector
    lexical: dict[str, Leg] = {"lexical": Lexical(asked.terms)} if len(asked.terms.indices) else {}
    if vector is None:
        return Legs(lexical, lexical)
    dense: dict[str, Leg] = {"dense": Dense(vector)}
    spans: dict[str, Leg] = {"spans": Spans(vector)}
    if mode is Mode.HYBRID:
        return Legs(dense | lexical, dense | spans | lexical)
    only = dense if mode is Mode.DENSE else spans
    return Legs(only, only)


def _mean(asked: Sequence[Scores]) -> NDArray[np.float32]:
    """Questions that ask for the same count alike."""
    mean: NDArray[np.float32] = np.mean([fuse(legs) for legs in asked], axis=0)
    return mean


def _graded(meaning: Meaning, wanted: Sequence[Leaf], asked: Sequence[Scores]) -> NDArray[np.float32]:
    """How well each candidate belongs to the query; what has no leg, such as words of no weight, has no say."""
    size = next(len(scores) for legs in asked for scores in legs.values())
    neutral = np.full(size, 0.5, np.float32)
    return grade(meaning, {leaf: grades(legs) if legs else neutral for leaf, legs in zip(wanted, asked, strict=True)})


def _without_examples(where: Condition | None, wanted: Sequence[Leaf]) -> Condition | None:
    """Who asks for more like a document has it already."""
    examples = dict.fromkeys((leaf.source, leaf.id) for leaf in wanted if isinstance(leaf, Example))
    others = [Not(AllOf((Match("source", (source,)), Match("id", (id,))))) for source, id in examples]
    conditions = [*([where] if where else []), *others]
    return AllOf(tuple(conditions)) if conditions else None


def _aligned(scored: Ranked, ids: Sequence[str]) -> NDArray[np.float32]:
    """[ids]; 0 where there is none."""
    scores = dict(scored)
    return np.array([scores.get(id, 0.0) for id in ids], np.float32)


def _scores(ranked: Ranked) -> NDArray[np.float32]:
    return np.array([score for _, score in ranked], np.float32)


def _falling(ids: Sequence[str], scores: NDArray[np.float32]) -> Ranked:
    return sorted(zip(ids, scores.tolist(), strict=True), key=lambda hit: -hit[1])
