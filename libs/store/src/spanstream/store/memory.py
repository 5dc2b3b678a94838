"""The store in memory: exact, small, and gone with its process. For tests and simulations, where a folder costs too much time.

The rules above the engine (order, visibility, what is stale) are `index`'s, as with the other engines.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.store.compression import Compression
from spanstream.store.conditions import Ids, StoredCondition
from spanstream.store.engine import Collection, Delete, IndexType, Operation, Point, Record, Search, SetPayload, Upsert
from spanstream.store.errors import StoreRejected, StoreUnavailable
from spanstream.store.holds import holds
from spanstream.store.index import Index
from spanstream.store.points import Sparse
from spanstream.store.queries import AllOf

Points = dict[str, Point]


class MemoryStore(Index):
    """The store port over dictionaries."""

    def __init__(self) -> None:
        super().__init__(MemoryEngine())


@dataclass(slots=True)
class _Generation:
    dimension: int
    points: dict[Collection, Points] = field(default_factory=lambda: {each: {} for each in Collection})


@dataclass(slots=True)
class _Kept:
    """What engines beside each other share."""

    generations: dict[str, _Generation] = field(default_factory=dict)
    queries: Points = field(default_factory=dict)  # of all generations
    live: str | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


class MemoryEngine:
    """The engine port. Thread-safe. `points` are those of the open generation; a point is replaced, never changed."""

    def __init__(self) -> None:
        self.points: dict[Collection, Points] = {}
        self._kept = _Kept()
        self._alone = True
        self._dimension, self._name = 0, ""

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """Make the generation the live one; it is never compressed."""
        with self._kept.lock:
            held = self._kept.generations.setdefault(generation, _Generation(dimension))
            if held.dimension != dimension:
                raise StoreRejected(
                    f"generation {generation} holds vectors of {held.dimension} components, not {dimension}"
                )
            held.points[Collection.QUERIES] = self._kept.queries
            self.points, self._dimension, self._name = held.points, dimension, generation
            if self._alone:
                self._kept.live = generation

    def open_live(self) -> str:
        """The one that was opened last."""
        live = self._kept.live
        if live is None:
            raise StoreUnavailable("nothing was opened here yet")
        self.open(live, self._kept.generations[live].dimension, Compression.NONE)
        return live

    def beside(self) -> MemoryEngine:
        """Over the same dictionaries."""
        other = MemoryEngine()
        other._kept, other._alone = self._kept, False
        return other

    def generations(self) -> dict[str, bool]:
        """All that were ever opened, and not dropped."""
        with self._kept.lock:
            return {name: name == self._kept.live for name in sorted(self._kept.generations)}

    def live(self) -> str | None:
        """What was noted."""
        return self._kept.live

    def make_live(self, generation: str) -> None:
        """Note it, and show it."""
        with self._kept.lock:
            if generation not in self._kept.generations:
                raise StoreRejected(f"the index has no generation {generation}")
            held = self._kept.generations[generation]
            self._kept.live = generation
            self.points, self._dimension, self._name = held.points, held.dimension, generation

    def drop(self, generation: str) -> None:
        """Those who have it open find nothing in it."""
        with self._kept.lock:
            if generation == self._kept.live:
                raise StoreRejected(f"generation {generation} is the live one: make another one live first")
            if generation in self._kept.generations:
                self._kept.generations.pop(generation).points.clear()

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        """Apply operations in order."""
        with self._kept.lock:
            points = self._open(collection)
            for operation in operations:
                self._apply(points, operation)

    def retrieve(
        self, collection: Collection, ids: Sequence[str], *, payload: bool = True, vectors: Sequence[str] = ()
    ) -> list[Record]:
        """The points that exist."""
        with self._kept.lock:
            points = self._open(collection)
            found = [points[id] for id in ids if id in points]
        return [_record(point, payload, vectors) for point in found]

    def search(self, searches: Sequence[Search]) -> list[list[tuple[str, float]]]:
        """All searches, each over every point that its condition holds for."""
        with self._kept.lock:
            points = self._open(Collection.PASSAGES)
            return [_search(points, search) for search in searches]

    def indexed(self, collection: Collection) -> set[str]:
        """None: every search reads every payload."""
        return set()

    def index(self, collection: Collection, path: str, kind: IndexType) -> None:
        """There is nothing to gain."""

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        """Exact count."""
        return sum(1 for _ in self.scroll(collection, condition, ()))

    def tally(self, collection: Collection, field: str, condition: StoredCondition, limit: int) -> dict[str, int]:
        """Exact counts per value of a field that holds one word."""
        counts = Counter(str(record.payload[field]) for record in self.scroll(collection, condition))
        return dict(counts.most_common(limit))

    def scroll(
        self,
        collection: Collection,
        condition: StoredCondition | None,
        fields: Sequence[str] | None = None,
        first: str | None = None,
    ) -> Iterator[Record]:
        """As of now, by id, payloads always whole."""
        with self._kept.lock:
            points = self._open(collection)
            found = list(points.values()) if condition is None else _found(points, condition)
        wanted = [point for point in found if first is None or point.id >= first]
        return iter([_record(point, True, ()) for point in sorted(wanted, key=lambda point: point.id)])

    def snapshot(self, folder: Path) -> None:
        """There is nothing on a disk that could be put back."""
        raise StoreRejected("the store in memory has no snapshots")

    def restore(self, folder: Path) -> None:
        """As `snapshot`."""
        raise StoreRejected("the store in memory has no snapshots")

    @property
    def generation(self) -> str:
        """The open one's name."""
        return self._name

    def elsewhere(self, condition: StoredCondition) -> dict[str, int]:
        """Of all that were ever opened."""
        both = (Collection.DOCUMENTS, Collection.PASSAGES)
        with self._kept.lock:
            others = {name: held for name, held in self._kept.generations.items() if name != self._name}
            return {name: sum(len(_found(each.points[of], condition)) for of in both) for name, each in others.items()}

    def cleared_at_us(self, generation: str) -> None:
        """There are no files."""

    def vacuum(self) -> None:
        """There are no files."""

    def maintain(self) -> bool:
        """There is nothing to do."""
        return False

    def flush(self) -> None:
        """There is no disk."""

    def unready(self) -> list[str]:
        """Whether it is not open."""
        return [] if self.points else ["the index is not open"]

    def close(self) -> None:
        """What was written stays, until it is opened again."""
        self.points = {}

    def _open(self, collection: Collection) -> Points:
        if collection not in self.points:
            raise StoreUnavailable("the store is not open")
        return self.points[collection]

    def _apply(self, points: Points, operation: Operation) -> None:
        match operation:
            case Upsert(point, condition, insert_only):
                self._check(point)
                stored = points.get(point.id)
                if stored is None or not (
                    insert_only or (condition and not holds(condition, stored.id, stored.payload))
                ):
                    points[point.id] = point
            case SetPayload(condition, payload):
                for point in _found(points, condition):
                    points[point.id] = Point(point.id, point.payload | payload, point.vectors)
            case Delete(condition):
                for point in _found(points, condition):
                    del points[point.id]

    def _check(self, point: Point) -> None:
        vectors = [point.vectors[name] for name in ("dense", "spans") if name in point.vectors]
        if any(np.asarray(vector).shape[-1] != self._dimension for vector in vectors):
            raise StoreRejected(f"vectors must have {self._dimension} components")


def _found(points: Points, condition: StoredCondition) -> list[Point]:
    parts: Sequence[StoredCondition] = condition.conditions if isinstance(condition, AllOf) else ()
    named = next((each.ids for each in parts if isinstance(each, Ids)), None)
    among = points.values() if named is None else [points[id] for id in named if id in points]
    return [point for point in among if holds(condition, point.id, point.payload)]


def _record(point: Point, payload: bool, vectors: Sequence[str]) -> Record:
    return Record(
        point.id,
        point.payload if payload else {},
        {name: point.vectors[name] for name in vectors if name in point.vectors},
    )


def _search(points: Points, search: Search) -> list[tuple[str, float]]:
    """The best, by falling score, then by id."""
    found = [point for point in _found(points, search.condition) if search.using in point.vectors]
    if isinstance(search.vector, Sparse):
        corpus = points.values() if search.corpus is None else _found(points, search.corpus)
        scored = _by_terms(
            search.vector, found, [point.vectors["lexical"] for point in corpus if "lexical" in point.vectors]
        )
    else:
        scored = _by_cosine(np.asarray(search.vector, np.float64).ravel(), search.using, found)
    return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[: search.limit]


def _by_cosine(query: NDArray[np.float64], using: str, found: Sequence[Point]) -> list[tuple[str, float]]:
    """The largest cosine with any vector of the point; those are of unit length, the query [dimension] need not be."""
    query = query / (np.linalg.norm(query) or 1.0)
    rows = [np.asarray(point.vectors[using], np.float64).reshape(-1, len(query)) for point in found]
    return [(point.id, float((each @ query).max())) for point, each in zip(found, rows, strict=True)]


def _by_terms(query: Sparse, found: Sequence[Point], corpus: Sequence[Any]) -> list[tuple[str, float]]:
    """BM25's sum over common terms, for the points that have any, with document frequencies of `corpus`."""
    having = Counter(term for terms in corpus for term in terms.indices.tolist())
    rarity = {term: math.log(1 + (len(corpus) - count + 0.5) / (count + 0.5)) for term, count in having.items()}
    asked = dict(zip(query.indices.tolist(), query.values.tolist(), strict=True))
    scored = []
    for point in found:
        terms: Any = point.vectors["lexical"]
        pairs = zip(terms.indices.tolist(), terms.values.tolist(), strict=True)
        if common := [asked[term] * weight * rarity.get(term, 0.0) for term, weight in pairs if term in asked]:
            scored.append((point.id, sum(common)))
    return scored
