"""Why a document is not among a search's hits: what became of it, the filter, the ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from spanstream.events.ids import Key
from spanstream.gateway.explaining import taught_words
from spanstream.gateway.explanation import Explainer, Explanation
from spanstream.gateway.found import Answer, Found
from spanstream.gateway.meanings import Example, Leaf, leaves, sought
from spanstream.gateway.models import MAX_LIMIT
from spanstream.gateway.question import Question
from spanstream.gateway.search import Searcher
from spanstream.gateway.status import Outcome, status
from spanstream.gateway.trace import Trace
from spanstream.store.points import Failure, Head, State
from spanstream.store.queries import AllOf, Condition, Leg, Match, Query, Scope
from spanstream.store.store import Store

DEEPEST = 10_000  # passages of a leg among which a rank is looked for
BEST = 8  # passages of the document per leg that are ranked with the candidates


class Reason(StrEnum):
    """Why; `shown`: it is among the hits after all."""

    NEVER_RECEIVED = "never_received"
    PENDING = "pending"
    FAILED = "failed"
    DELETED = "deleted"
    FILTERED = "filtered"
    OUTRANKED = "outranked"
    BEYOND_LIMIT = "beyond_limit"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where a leg has the document's best passage among all that the search looks among.

    `rank` None: it holds nothing that the leg looks for, or stands behind DEEPEST others. `finds`: the leg chooses candidates.
    """

    leg: str
    asked: Leaf
    finds: bool
    rank: int | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Miss:
    """`failure`: of a version newer than what is searched. `conditions`: paths below the search request.

    `rank`: of the document among the hits, once `limit` are asked for. `at`: the leg that came closest to finding it, or
    `fusion` where it was a candidate. `explanation`: of its best passage, as if it had been found.
    """

    reason: Reason
    version: int = 0
    failure: Failure | None = None
    conditions: Sequence[str] = ()
    rank: int | None = None
    limit: int | None = None
    at: str | None = None
    legs: Sequence[LegRank] = ()
    explanation: Explanation | None = None
    by: Sequence[Found] = ()
    by_words: bool = False


def of_state(head: Head | None, version: int | None) -> Miss | None:
    """What became of the document keeps it from being found; None where it can be. `head`: None where the caller sees none."""
    if head is None:
        return Miss(Reason.NEVER_RECEIVED if version is None else Reason.PENDING)
    told = status(head, version)
    if told.outcome is Outcome.FAILED and (version is not None or head.state is not State.LIVE):
        return Miss(Reason.FAILED, told.version, told.failure)
    reasons = {Outcome.PENDING: Reason.PENDING, Outcome.DELETED: Reason.DELETED}
    return Miss(reasons[told.outcome], told.version, told.failure) if told.outcome in reasons else None


def failing(condition: Condition, holds: Callable[[Condition], bool], path: str = "filter") -> list[str]:
    """The paths of the parts that keep a document out: of an `all` those that do not hold, else the whole."""
    if holds(condition):
        return []
    if isinstance(condition, AllOf):
        parts = enumerate(condition.conditions)
        return [found for i, part in parts for found in failing(part, holds, f"{path}.all.{i}")]
    return [path]


class Misses:
    """Explains misses by searching again: exactly as asked, wider, and with the document among the candidates."""

    def __init__(self, store: Store, searcher: Searcher) -> None:
        self._store = store
        self._searcher = searcher

    def explain(
        self, scope: Scope, question: Question, dimension: int, head: Head | None, version: int | None = None
    ) -> Miss:
        """`head`: None where the caller sees none. `version`: the one that is missed; None: what is searched now.

        Raises what a search raises.
        """
        if told := of_state(head, version):
            return told
        assert head is not None
        if conditions := self._excluding(scope, question, head.key):
            return Miss(Reason.FILTERED, head.version, head.failure, conditions)

        def search(limit: int, also: Sequence[str] = ()) -> Answer:
            return self._searcher.search(scope, replace(question, limit=limit, explain=True), dimension, also=also)

        answer = search(question.limit)
        if told := self._placed(scope, Reason.SHOWN, answer, question.limit, head):
            return told
        wide = search(MAX_LIMIT)
        if rank := _place(wide, head.key):
            limit = min(max(rank, question.limit + 1), MAX_LIMIT)
            narrow = wide if limit == MAX_LIMIT else search(limit)
            for found, within in ((narrow, limit), (wide, MAX_LIMIT)):  # a wider search may rank otherwise
                if told := self._placed(scope, Reason.BEYOND_LIMIT, found, within, head):
                    return replace(told, by=answer.hits)
        assert answer.trace is not None
        legs, best = self._ranks(scope, answer.trace, head)
        told = Miss(
            Reason.OUTRANKED,
            head.version,
            head.failure,
            at=_at(answer.trace, legs, head),
            legs=legs,
            by=answer.hits,
            by_words=answer.by_words,
        )
        trace = search(question.limit, best).trace if best else None
        return replace(told, explanation=self._explained(scope, trace, best)) if trace and trace.ids else told

    def _excluding(self, scope: Scope, question: Question, key: Key) -> list[str]:
        this = (Match("source", (key.source,)), Match("id", (key.id,)))

        def holds(condition: Condition) -> bool:
            return self._store.count(scope, AllOf((*this, condition))) > 0

        found = failing(question.where, holds) if question.where else []
        examples = {(leaf.source, leaf.id) for leaf in leaves(question.meaning) if isinstance(leaf, Example)}
        return [*(["query"] if (key.source, key.id) in examples else []), *found]

    def _placed(self, scope: Scope, reason: Reason, answer: Answer, limit: int, head: Head) -> Miss | None:
        """The document's place in the answer."""
        if (rank := _place(answer, head.key)) is None:
            return None
        trace = answer.trace
        assert trace is not None
        passage = answer.hits[rank - 1].passages[0].passage
        told = Explainer(trace, taught_words(self._store, scope, trace))(passage)
        return Miss(
            reason, head.version, head.failure, rank=rank, limit=limit, explanation=told, by_words=answer.by_words
        )

    def _ranks(self, scope: Scope, trace: Trace, head: Head) -> tuple[list[LegRank], list[str]]:
        """The document's rank on each leg of what is sought, and its best passages."""
        wanted = sought(trace.meaning)
        ids = head.passage_ids()
        ranks: list[LegRank] = []
        best: dict[str, None] = {}
        for asked, finders, legs in zip(leaves(trace.meaning), trace.finders, trace.legs, strict=False):
            if asked not in wanted:
                continue
            for name, leg in legs.items():
                own, rank = self._rank(scope, leg, trace.where, ids)
                best |= dict.fromkeys(id for id, _ in own[:BEST])
                ranks.append(LegRank(name, asked, name in finders, rank, own[0][1] if own else None))
        return ranks, list(best)

    def _rank(
        self, scope: Scope, leg: Leg, where: Condition | None, ids: Sequence[str]
    ) -> tuple[Sequence[tuple[str, float]], int | None]:
        """The document's passages by falling score, exactly, and the rank of the first among all."""
        own, others = self._store.rank([Query(leg, scope, len(ids), None, ids), Query(leg, scope, DEEPEST, where)])
        if not own:
            return own, None
        mine = set(ids)
        place = next((i for i, (id, _) in enumerate(others, 1) if id in mine), None)
        if place is None and len(others) < DEEPEST:
            place = 1 + sum(score > own[0][1] for _, score in others)
        return own, place

    def _explained(self, scope: Scope, trace: Trace, ids: Sequence[str]) -> Explanation | None:
        """Of the best of these candidates."""
        scores = dict(zip(trace.ids, trace.final.tolist(), strict=True))
        first = max((id for id in ids if id in scores), key=scores.__getitem__, default=None)
        passage = self._store.fetch([first]).get(first) if first else None
        return Explainer(trace, taught_words(self._store, scope, trace))(passage) if passage else None


def _place(answer: Answer, key: Key) -> int | None:
    """Of the document's first hit, from 1."""
    return next((i for i, hit in enumerate(answer.hits, 1) if hit.head.key == key), None)


def _at(trace: Trace, legs: Sequence[LegRank], head: Head) -> str | None:
    if len({leg.leg for leg in legs}) > 1 and not set(trace.ids).isdisjoint(head.passage_ids()):
        return "fusion"
    closest = min((leg for leg in legs if leg.finds), key=lambda leg: leg.rank or DEEPEST + 1, default=None)
    return closest.leg if closest else None
