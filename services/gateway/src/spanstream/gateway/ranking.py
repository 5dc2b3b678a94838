"""The candidates of a search and what they score: found by some legs, scored by all, asked again, evened out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway import feedback, neighbours
from spanstream.gateway.asking import Asked
from spanstream.gateway.deadline import Deadline
from spanstream.gateway.fusion import Fusion, fuse, grades_of
from spanstream.gateway.meanings import Example, Leaf, Meaning, grade, leaves, sought
from spanstream.gateway.pool import Pool
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.ranked import Ranked, aligned, falling, named
from spanstream.gateway.timing import timed
from spanstream.gateway.trace import Scores, Trace
from spanstream.runtime import metrics
from spanstream.store.points import Passage, Vectors
from spanstream.store.queries import AllOf, Condition, Dense, Leg, Lexical, Match, Not, Query, Scope, Spans
from spanstream.store.store import Store

POOL = 64  # best candidates that are compared with each other


@dataclass(frozen=True, slots=True)
class Legs:
    """Of one question: those that find candidates, and those that score them, by name."""

    finders: Mapping[str, Leg]
    scorers: Mapping[str, Leg]


class Ranking:
    """Of one search. Raises what the store raises."""

    def __init__(
        self,
        store: Store,
        scope: Scope,
        question: Question,
        mode: Mode,
        asked: Mapping[Leaf, Asked],
        deadline: Deadline,
    ) -> None:
        """`mode`: the question's, or the one that is left without an encoder; `asked`: each leaf of its meaning."""
        self._store = store
        self._scope = scope
        self._deadline = deadline
        wanted = leaves(question.meaning)
        legs = {leaf: _legs(mode, each) for leaf, each in asked.items()}
        self._scorers, self._finders = (
            [legs[leaf] for leaf in wanted],
            [legs[leaf] for leaf in sought(question.meaning)],
        )
        self._where = _without_examples(question.where, wanted)
        self._combine: Callable[[Sequence[Scores]], NDArray[np.float32]]
        self._again: Asked | None = None  # to be asked a second time
        if len(wanted) == 1:
            self._combine = partial(_mean, question.fusion)
            if mode is Mode.HYBRID and question.fusion is Fusion.CONVEX:
                self._again = asked[wanted[0]]
        else:
            self._combine = partial(_graded, question.fusion, question.meaning, wanted)
        self._known: dict[int, dict[str, float]] = {}  # by leg: what it has scored
        self._vectors: dict[str, Vectors] = {}  # of the best candidates, which feedback and neighbours both look at
        self.trace: Trace | None = None
        if question.explain or question.rerank:
            finders, scorers = [each.finders for each in self._scorers], [each.scorers for each in self._scorers]
            self.trace = Trace(question.meaning, question.fusion, asked, finders, scorers, self._where)

    @property
    def finds(self) -> bool:
        """Whether any leg finds candidates: words of no weight find none."""
        return any(each.finders for each in self._finders)

    def ranked(self, depth: int, also: Sequence[str]) -> tuple[Ranked, bool]:
        """1 find candidates, 2 score them on every leg and fuse, 3 ask again with what the best of them say and 4 even out
        over like passages, both for one text or example in hybrid mode.

        By falling score, with those that are candidates `also`; and whether a leg may find more than `depth`.
        """
        found, more = self._find(self._finders, depth)  # 1
        found = [*found, [(id, 0.0) for id in also]] if also else found
        ranked = self._score(found)  # 2
        if self._again is None:
            return ranked, more
        if len(self._scorers) == 1 and self._deadline.allows("feedback"):
            ranked = self._asked_again(self._again, found, ranked, depth)  # 3
        if self._deadline.allows("neighbours"):
            ranked = self._evened(ranked)  # 4
            self.stage("neighbours", ranked)
        return ranked, more

    def stage(self, name: str, ranked: Ranked) -> None:
        """A later step has made of the candidates' scores these."""
        if self.trace:
            self.trace.stage(name, ranked)

    def told(self, passages: Sequence[Passage]) -> dict[str, NDArray[np.float32]]:
        """What the scores of these candidates are the sum of, by name [passages]; nothing of a set of meanings."""
        if self.trace is None or len(leaves(self.trace.meaning)) > 1:
            return {}
        position = {id: place for place, id in enumerate(self.trace.ids)}
        places = [position[passage.id] for passage in passages]
        return {name: part[places] for name, part in self.trace.components.items()}

    def _find(self, asked: Sequence[Legs], depth: int) -> tuple[Sequence[Ranked], bool]:
        """The best of each finding leg, and whether any leg may have more."""
        with timed("find"):
            legs = [leg for each in asked for leg in each.finders.values()]
            found = self._store.rank([Query(leg, self._scope, depth, self._where) for leg in legs])
        for leg, scored in zip(legs, found, strict=True):
            self._of(leg).update(scored)
            if isinstance(leg, Dense) and scored:
                metrics.GATEWAY_BEST_COSINE.observe(scored[0][1])
        return found, any(len(leg) == depth for leg in found)

    def _score(self, found: Sequence[Ranked]) -> Ranked:
        """All candidates with their scores, falling: each is scored exactly on every leg of all that is asked."""
        ids = sorted({id for leg in found for id, _ in leg})
        legs = [leg for each in self._scorers for leg in each.scorers.values()]
        if not ids:
            return []
        if len(legs) == len(found) == 1:  # the one that found them has scored them
            return self._alone(found[0], ids)
        with timed("score"):
            self._score_unknown(ids)
        # A passage without a term in common has no lexical score, one without spans no span score.
        scored = [{name: aligned(self._of(leg), ids) for name, leg in each.scorers.items()} for each in self._scorers]
        total = self._combine(scored)
        if self.trace:
            self.trace.scored([each.scorers for each in self._scorers], ids, scored, total)
        return named(ids, total)

    def _score_unknown(self, ids: Sequence[str]) -> None:
        """Ask each leg for the candidates that it has not scored yet."""
        queries = []
        for leg in [leg for each in self._scorers for leg in each.scorers.values()]:
            known = self._of(leg)
            if missing := [id for id in ids if id not in known]:
                queries.append(Query(leg, self._scope, len(missing), None, missing))
                known.update(dict.fromkeys(missing, 0.0))
        for query, scored in zip(queries, self._store.rank(queries), strict=True):
            self._of(query.leg).update(scored)

    def _of(self, leg: Leg) -> dict[str, float]:
        """The scores that the leg has given so far; a search keeps its legs, so that no two have one identity."""
        return self._known.setdefault(id(leg), {})

    def _alone(self, ranked: Ranked, ids: Sequence[str]) -> Ranked:
        """What the only leg of all that is asked says."""
        if self.trace:
            (only,) = [each.scorers for each in self._scorers if each.scorers]
            scores = aligned(dict(ranked), ids)
            self.trace.scored([only], ids, [dict.fromkeys(only, scores)], scores)
        return ranked

    def _asked_again(self, asked: Asked, found: Sequence[Ranked], ranked: Ranked, depth: int) -> Ranked:
        """What the best answers say is asked for beside the question; not where they are too few to learn from."""
        pool, top = self._pool(ranked)
        second = feedback.second(asked, pool, _scores(top)) if pool else None
        if second is None:
            return ranked
        again = _legs(Mode.HYBRID, second)
        self._finders, self._scorers = [*self._finders, again], [*self._scorers, again]
        others, _ = self._find([again], depth)
        if self.trace:
            self.trace.teachers = [id for id, _ in top[: feedback.ANSWERS]]
        return self._score([*found, *others])

    def _evened(self, ranked: Ranked) -> Ranked:
        """The same, the best ones by the scores that their neighbours let them have."""
        pool, top = self._pool(ranked)
        if pool is None:
            return ranked
        known = {id for id, _ in top}
        evened = named([id for id, _ in top], neighbours.evened(_scores(top), pool))
        return falling([*evened, *(hit for hit in ranked if hit[0] not in known)])

    def _pool(self, ranked: Ranked) -> tuple[Pool | None, Ranked]:
        """The best candidates with what they are compared by; without those that have gone meanwhile."""
        with timed("compare"):
            if missing := [id for id, _ in ranked[:POOL] if id not in self._vectors]:
                self._vectors |= self._store.vectors(missing)
        top = [hit for hit in ranked[:POOL] if hit[0] in self._vectors]
        return (Pool.of([self._vectors[id] for id, _ in top]) if top else None), top


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


def _mean(fusion: Fusion, asked: Sequence[Scores]) -> NDArray[np.float32]:
    """Questions that ask for the same count alike."""
    mean: NDArray[np.float32] = np.mean([fuse(legs, fusion) for legs in asked], axis=0)
    return mean


def _graded(fusion: Fusion, meaning: Meaning, wanted: Sequence[Leaf], asked: Sequence[Scores]) -> NDArray[np.float32]:
    """How well each candidate belongs to the query."""
    candidates = next(len(scores) for legs in asked for scores in legs.values())
    return grade(meaning, dict(zip(wanted, grades_of(asked, candidates, fusion), strict=True)))


def _without_examples(where: Condition | None, wanted: Sequence[Leaf]) -> Condition | None:
    """Who asks for more like a document has it already."""
    examples = dict.fromkeys((leaf.source, leaf.id) for leaf in wanted if isinstance(leaf, Example))
    others = [Not(AllOf((Match("source", (source,)), Match("id", (id,))))) for source, id in examples]
    conditions = [*([where] if where else []), *others]
    return AllOf(tuple(conditions)) if conditions else None


def _scores(ranked: Ranked) -> NDArray[np.float32]:
    return np.array([score for _, score in ranked], np.float32)
