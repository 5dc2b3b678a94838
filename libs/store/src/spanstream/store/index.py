"""The store on an engine: order, visibility and shape live here, once for both adapters."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from spanstream.events.ids import Key, head_id
from spanstream.store import conditions
from spanstream.store.compression import Compression
from spanstream.store.conditions import Ids
from spanstream.store.engine import Collection, Engine, Operation, Point, Record, Search, SetPayload, Upsert, Vector
from spanstream.store.engine import Delete as DeletePoints
from spanstream.store.errors import StoreUnavailable, TooLarge
from spanstream.store.filling import Filling
from spanstream.store.holdings import Holdings
from spanstream.store.kept import Kept
from spanstream.store.memos import Memos
from spanstream.store.payloads import (
    HEAD_MARKS,
    PASSAGE_MARKS,
    Payload,
    body_text,
    failure_payload,
    head_from,
    head_mark,
    head_payload,
    key_text,
    passage_from,
    passage_mark,
    passage_payload,
    sound,
)
from spanstream.store.points import Failure, Head, Passage, PassageMark, Sparse, State, Vectors
from spanstream.store.queries import Condition, Dense, Hit, Lexical, Match, Query, Scope, Spans
from spanstream.store.ranged import RangeIndexes
from spanstream.store.retention import Retention
from spanstream.store.standing_index import StandingQueries
from spanstream.store.tallies import Tally, first, tallies

log = logging.getLogger(__name__)

FLIP_ATTEMPTS = 8  # each but the last is undone by a failure that is noted in the very moment
MAX_SOURCES = 10_000
SCANNED_KEYS = 256  # of one question
MAX_TALLIED = 200_000  # documents whose metadata is read for one tally: 5 to 20 µs each
_DOCUMENTS, _PASSAGES = Collection.DOCUMENTS, Collection.PASSAGES


class Index:
    """The store port; see `store.Store` for what each method promises."""

    def __init__(self, engine: Engine, *, alone: bool = True) -> None:
        """`alone`: else it is beside another one."""
        self._engine, self._alone = engine, alone
        self._begin()

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """Create what is missing and make the generation the live one."""
        self._engine.open(generation, dimension, compression)
        self._begin()

    def open_live(self) -> str:
        """Open what was opened last."""
        generation = self._engine.open_live()
        self._begin()
        return generation

    def beside(self) -> Index:
        """Another one on the same engine's place."""
        return Index(self._engine.beside(), alone=False)

    def generations(self) -> dict[str, bool]:
        """Of each name whether it is live."""
        return self._engine.generations()

    def live(self) -> str | None:
        """As the engine notes it."""
        return self._engine.live()

    def kept(self) -> list[Kept]:
        """With their live documents: of the open one as of the others."""
        held = self._engine.elsewhere(conditions.live())
        held[self._engine.generation] = self._engine.count(_DOCUMENTS, conditions.live())
        return [Kept(name, live, held.get(name, 0)) for name, live in sorted(self._engine.generations().items())]

    def replaced(self, generation: str) -> Kept | None:
        """Counted in the live one, which is opened as it is for that."""
        live = self._engine.live()
        if not self._alone or live in (None, generation):
            return None
        beside = self._engine.beside()
        try:
            name = beside.open_live()
            documents = beside.count(_DOCUMENTS, conditions.live())
        finally:
            beside.close()
        return Kept(name, True, documents) if documents else None

    def make_live(self, generation: str) -> None:
        """Another generation takes this one's place."""
        self._engine.make_live(generation)
        self._begin()

    def drop(self, generation: str) -> None:
        """Remove a generation that is not live."""
        self._engine.drop(generation)

    def _begin(self) -> None:
        """Nothing is known of another generation's payload indexes."""
        self._ranges, self._filling = RangeIndexes(self._engine), Filling(self._engine)

    # --- Passages ---

    def upsert_passages(self, passages: Sequence[Passage]) -> None:
        """Write passages with their vectors."""
        self._engine.write(_PASSAGES, [Upsert(_passage_point(passage)) for passage in passages])

    def count_passages(self, bodies: Sequence[tuple[Key, int, bytes]]) -> list[int]:
        """How many passages of each body are stored, exactly."""
        names = [body_text(*body) for body in bodies]
        if not names:
            return []
        found = self._engine.tally(_PASSAGES, "body", Match("body", tuple(set(names))), len(names))
        return [found.get(name, 0) for name in names]

    def passages(self, head: Head, *, vectors: bool = False) -> list[Passage]:
        """All passages that the head names, by ordinal."""
        if head.state is not State.LIVE:
            return []
        records = self._sound(head.passage_ids(), ["dense"] if vectors else [])
        found = [passage_from(record.payload, record.vectors.get("dense")) for record in records]
        return sorted(found, key=lambda passage: passage.ordinal)

    def delete_stale(self, heads: Sequence[Head]) -> None:
        """Delete passages below the heads that these do not name."""
        self._engine.write(_PASSAGES, [DeletePoints(conditions.stale(head)) for head in heads])

    # --- Heads ---

    def flip_heads(self, heads: Sequence[Head]) -> list[Head]:
        """Write heads where their order is above the stored ones', then re-read.

        A head carries over the failure of a newer version. One that was noted since it was read, by whoever reads the other
        topic, would be lost: then the write is not done, and done again.
        """
        keys = [head.key for head in heads]
        stored = self.heads(keys)
        for _ in range(FLIP_ATTEMPTS):
            operations = [_flip(head, stored.get(head.key)) for head in heads if _flips(head, stored.get(head.key))]
            self._engine.write(_DOCUMENTS, operations)
            stored = self.heads(keys)
            if not any(_flips(head, stored.get(head.key)) for head in heads):
                return [stored[head.key] for head in heads]
        raise StoreUnavailable("heads change faster than they can be written")

    def bump_heads(self, bumps: Sequence[tuple[Head, int]]) -> list[Head | None]:
        """Raise versions of live heads of the same content, then re-read."""
        self._engine.write(
            _DOCUMENTS,
            [
                SetPayload(conditions.bumpable(_head_point_id(head.key), head, version), {"version": version})
                for head, version in bumps
            ],
        )
        after = self.heads([head.key for head, _ in bumps])
        return [after.get(head.key) for head, _ in bumps]

    def record_failures(self, failures: Sequence[tuple[Key, Failure]]) -> None:
        """Note failures newer than the heads; the newest failure of a document stays."""
        newest: dict[Key, Failure] = {}
        for key, failure in failures:
            if key not in newest or failure.version >= newest[key].version:
                newest[key] = failure
        stored = self.heads(list(newest))
        operations: list[Operation] = []
        for key, failure in newest.items():
            if key not in stored:
                absent = Head(key, -1, State.ABSENT, b"", -1, failure=failure)
                operations.append(Upsert(_head_point(absent), insert_only=True))
            older = conditions.older(_head_point_id(key), failure.version)
            operations.append(SetPayload(older, {"failure": failure_payload(failure)}))
        self._engine.write(_DOCUMENTS, operations)

    def forget_failures(self, failures: Sequence[tuple[Key, int]]) -> None:
        """Take the failures of these times off the heads; the condition is judged where it is written."""
        operations: list[Operation] = []
        for key, at_us in failures:
            failed = conditions.failed(_head_point_id(key), at_us)
            operations += [DeletePoints(conditions.absent(failed)), SetPayload(failed, {"failure": None})]
        self._engine.write(_DOCUMENTS, operations)

    def heads(self, keys: Sequence[Key]) -> dict[Key, Head]:
        """The heads that exist."""
        if not keys:
            return {}
        records = self._engine.retrieve(_DOCUMENTS, [_head_point_id(key) for key in dict.fromkeys(keys)])
        return {head.key: head for head in (head_from(record.payload) for record in records)}

    def count(self, scope: Scope, where: Condition | None = None) -> int:
        """How many live documents the scope and condition admit."""
        return self._engine.count(_DOCUMENTS, self._live(scope, where))

    def sources(self, scope: Scope, among: Sequence[str] | None = None) -> Mapping[str, int]:
        """Source -> number of live documents, of all or of those `among` these that have any."""
        named = None if among is None else Match("source", tuple(among))
        seen = conditions.visible(scope, named, conditions.live())
        return self._engine.tally(_DOCUMENTS, "source", seen, MAX_SOURCES if among is None else max(1, len(among)))

    def facets(self, scope: Scope, limits: Mapping[str, int], where: Condition | None = None) -> dict[str, Tally]:
        """Field -> its most frequent values. The index counts sources; metadata is counted here, in one pass for all fields."""
        seen = self._live(scope, where)
        read = {field: limit for field, limit in limits.items() if field != "source"}
        paths = [conditions.stored_path(field) for field in read]
        if read and self._engine.count(_DOCUMENTS, seen) > MAX_TALLIED:
            raise TooLarge(f"at most {MAX_TALLIED} documents are counted: narrow the filter")
        heads = self._engine.scroll(_DOCUMENTS, seen, paths) if read else iter(())
        found = tallies(_bounded(head.payload for head in heads), read)
        if "source" in limits:
            sources = self._engine.tally(_DOCUMENTS, "source", seen, MAX_SOURCES)
            found["source"] = first(sources.items(), limits["source"])
        return {field: found[field] for field in limits}

    def admitted(self, keys: Sequence[Key], scope: Scope, where: Condition | None = None) -> set[Key]:
        """Those of these live documents that the scope and condition admit."""
        if not keys:
            return set()
        points = {_head_point_id(key): key for key in keys}
        seen = conditions.visible(scope, where, conditions.live(), Ids(tuple(points)))
        return {points[record.id] for record in self._engine.scroll(_DOCUMENTS, seen, ())}

    def standing(self) -> StandingQueries:
        """The standing queries."""
        return StandingQueries(self._engine)

    def memos(self) -> Memos:
        """Beside the standing queries."""
        return Memos(self._engine)

    def retention(self) -> Retention:
        """What is due to go."""
        return Retention(self._engine)

    # --- Search ---

    def matching(self, scope: Scope, where: Condition, ids: Sequence[str]) -> set[str]:
        """Those of these passages that the scope and condition admit."""
        condition = conditions.visible(scope, where, Ids(tuple(ids)))
        return {record.id for record in self._engine.scroll(_PASSAGES, condition, ())} if ids else set()

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Answer queries: first ids and scores, then each found passage once, however many legs found it."""
        answers = self.rank(queries)
        passages = self.fetch(list({id for answer in answers for id, _ in answer}))
        return [[Hit(id, score, passages[id]) for id, score in answer if id in passages] for answer in answers]

    def rank(self, queries: Sequence[Query]) -> list[list[tuple[str, float]]]:
        """Passage ids with scores; a query among no passages is not asked."""
        asked = [index for index, query in enumerate(queries) if query.among is None or query.among]
        among_all = dict.fromkeys((query.scope, query.where) for query in queries if query.among is None)
        for scope, where in among_all:  # the legs of a search have one
            self._ranges.prepare(_PASSAGES, scope, where)
        answers = self._engine.search([_search(queries[index]) for index in asked])
        ranked: list[list[tuple[str, float]]] = [[] for _ in queries]
        for index, answer in zip(asked, answers, strict=True):
            ranked[index] = sorted(answer, key=lambda hit: (-hit[1], hit[0]))
        return ranked

    def fetch(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Passages by id."""
        return {record.id: passage_from(record.payload) for record in self._sound(ids)}

    def _sound(self, ids: Sequence[str], vectors: Sequence[str] = ()) -> Iterator[Record]:
        """The passages, without those that the disk has changed."""
        for record in self._engine.retrieve(_PASSAGES, ids, vectors=vectors):
            if sound(record.payload):
                yield record
            else:
                log.error("the disk has changed passage %s: it is not shown", record.id)

    def span_vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Passage id -> [spans, dimension]."""
        records = self._engine.retrieve(_PASSAGES, ids, payload=False, vectors=["spans"])
        return {record.id: np.asarray(record.vectors["spans"], np.float32) for record in records if record.vectors}

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """Passage id -> dense and lexical; a passage without terms has an empty one."""
        records = self._engine.retrieve(_PASSAGES, ids, payload=False, vectors=["dense", "lexical"])
        return {record.id: _vectors(record.vectors) for record in records if "dense" in record.vectors}

    def _live(self, scope: Scope, where: Condition | None) -> conditions.StoredCondition:
        """What a search over all live documents looks at."""
        self._ranges.prepare(_DOCUMENTS, scope, where)
        return conditions.visible(scope, where, conditions.live())

    # --- All of it ---

    def scan_heads(self, first: int = 0, end: int = 1 << 128) -> Iterator[Head]:
        """Heads by point id."""
        for record in self._engine.scroll(_DOCUMENTS, None, HEAD_MARKS, str(UUID(int=first))):
            if UUID(record.id).int >= end:
                return
            if "state" in record.payload:  # else it is a point by which a server was tried out
                yield head_mark(record.payload)

    def scan_passages(self, keys: Sequence[Key] | None = None) -> Iterator[PassageMark]:
        """What is stored of passages; of few documents by their keys."""
        if keys is None:
            yield from self._marks(None)
            return
        for start in range(0, len(keys), SCANNED_KEYS):
            yield from self._marks(Match("key", tuple(map(key_text, keys[start : start + SCANNED_KEYS]))))

    def _marks(self, condition: conditions.StoredCondition | None) -> Iterator[PassageMark]:
        for record in self._engine.scroll(_PASSAGES, condition, PASSAGE_MARKS):
            yield passage_mark(record.id, record.payload)

    def snapshot(self, folder: Path) -> None:
        """Write all of it into a folder."""
        self._engine.snapshot(folder)

    def restore(self, folder: Path) -> None:
        """Put a snapshot in place."""
        self._engine.restore(folder)

    # --- Life ---

    def holdings(self) -> Holdings:
        """What is still held."""
        return Holdings(self._engine)

    def vacuum(self, before_us: int) -> bool:
        """Take what was deleted out of the engine's files; True if anything was done."""
        cleared = self._engine.cleared_at_us(self._engine.generation)
        if cleared is None or cleared >= before_us or not self.holdings().deleted_since(cleared):
            return False
        self._engine.vacuum()
        return True

    def maintain(self) -> bool:
        """Do pending housekeeping; True if anything was done."""
        return any([self._filling.step(), self._engine.maintain()])

    def flush(self) -> None:
        """Make all acknowledged writes survive power loss."""
        self._engine.flush()

    def unready(self) -> list[str]:
        """Why the store does not answer now."""
        return self._engine.unready()

    def close(self) -> None:
        """Flush and release; idempotent."""
        self._engine.close()


def _bounded(payloads: Iterator[Payload]) -> Iterator[Payload]:
    for number, payload in enumerate(payloads):
        if number == MAX_TALLIED:
            raise TooLarge(f"metadata is counted over at most {MAX_TALLIED} documents: narrow it with a filter")
        yield payload


@lru_cache(maxsize=1 << 14)  # about 5 MB: who waits for documents asks for the same ones again and again
def _head_point_id(key: Key) -> str:
    return str(head_id(key))


def _vectors(found: Mapping[str, Any]) -> Vectors:
    terms = found.get("lexical")
    indices, values = (terms.indices, terms.values) if terms is not None else ([], [])
    lexical = Sparse(np.asarray(indices, np.uint32), np.asarray(values, np.float32))
    return Vectors(np.asarray(found["dense"], np.float32), lexical)


def _head_point(head: Head) -> Point:
    vectors: dict[str, Vector] = {} if head.dense is None else {"dense": head.dense.tolist()}
    return Point(_head_point_id(head.key), head_payload(head), vectors)


def _with_failure(head: Head, stored: Head | None) -> Head:
    """A head keeps the failure of a newer version than its own, which nothing but this store knows of."""
    failure = stored.failure if stored and stored.failure and stored.failure.version > head.version else None
    return replace(head, failure=failure)


def _flips(head: Head, stored: Head | None) -> bool:
    return stored is None or stored.order < head.order


def _flip(head: Head, stored: Head | None) -> Operation:
    known = stored.failure.version if stored and stored.failure else -1
    condition = conditions.flippable(head.order, max(known, head.version))
    return Upsert(_head_point(_with_failure(head, stored)), condition)


def _passage_point(passage: Passage) -> Point:
    vectors: dict[str, Vector] = {}
    if passage.dense is not None:
        vectors["dense"] = passage.dense.tolist()
    if passage.spans is not None and len(passage.spans):
        vectors["spans"] = passage.spans.tolist()
    if passage.lexical is not None:
        vectors["lexical"] = passage.lexical
    return Point(passage.id, passage_payload(passage), vectors)


def _search(query: Query) -> Search:
    more = () if query.among is None else (Ids(tuple(query.among)),)
    condition = conditions.visible(query.scope, query.where, *more)
    narrowed = bool(more) or query.where is not None or (query.scope.groups, query.scope.sources) != (None, None)
    match query.leg:
        case Dense(vector):
            return Search("dense", vector.tolist(), condition, query.limit, exact=narrowed)
        case Spans(vector):
            one = vector.tolist()
            return Search("spans", [one], condition, query.limit, shortlist=None if more else one, exact=narrowed)
        case Lexical(terms):
            return Search("lexical", terms, condition, query.limit, corpus=conditions.visible(query.scope, None))
