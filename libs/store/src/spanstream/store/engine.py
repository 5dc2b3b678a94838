"""The narrow port below the store's: what Qdrant Edge and a Qdrant server can both do, in plain values.

`index.Index` is the store on top of it; `edge` and `server` are the two engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from spanstream.store.compression import Compression
from spanstream.store.conditions import StoredCondition
from spanstream.store.facts import FACTS
from spanstream.store.payloads import Payload
from spanstream.store.points import Sparse

SPAN_SHORTLIST = 2048  # see Search.shortlist; 50,000 passages of 6 spans on one core: 6 ms instead of 22 ms


class Collection(StrEnum):
    """A generation's two collections, and one that belongs to none: standing queries, which have no vectors of the engine's."""

    DOCUMENTS = "documents"
    PASSAGES = "passages"
    QUERIES = "queries"


class IndexType(StrEnum):
    """What a payload index is for."""

    TENANT = "tenant"  # words, and the points of one tenant lie together
    WORD = "word"
    FACT = "fact"  # integers that are looked up, never compared
    NUMBER = "number"  # for ranges, as are dates
    DATE = "date"


# Versions and hashes are compared only on points already chosen by id or key, where an index would gain nothing, and
# each index adds files to every flush.
INDEXES: dict[Collection, dict[str, IndexType]] = {
    Collection.DOCUMENTS: {
        "tenant": IndexType.TENANT,
        "source": IndexType.WORD,
        "id": IndexType.WORD,
        "state": IndexType.WORD,
        "groups": IndexType.WORD,
        "expires_at_us": IndexType.NUMBER,
        FACTS: IndexType.FACT,
    },
    Collection.PASSAGES: {
        "tenant": IndexType.TENANT,
        "source": IndexType.WORD,
        "id": IndexType.WORD,
        "key": IndexType.WORD,
        "body": IndexType.WORD,
        "groups": IndexType.WORD,
        FACTS: IndexType.FACT,
    },
    Collection.QUERIES: {"tenant": IndexType.TENANT},
}

Vector = list[float] | list[list[float]] | Sparse  # one, a multivector, or term weights


@dataclass(frozen=True, slots=True)
class Point:
    """What is written."""

    id: str
    payload: Payload = field(repr=False)
    vectors: dict[str, Vector] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """What is read back; only the parts that were asked for."""

    id: str
    payload: Payload = field(repr=False)
    vectors: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write a point. Where it exists: only if `condition` holds for the stored one, and never with `insert_only`."""

    point: Point
    condition: StoredCondition | None = None
    insert_only: bool = False

    @property
    def plain(self) -> bool:
        """Whether it overwrites whatever is there."""
        return self.condition is None and not self.insert_only


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Set these fields of the points that the condition holds for."""

    condition: StoredCondition
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the points that the condition holds for."""

    condition: StoredCondition


Operation = Upsert | SetPayload | Delete


def runs(operations: Sequence[Operation]) -> Iterator[list[Point] | Operation]:
    """Operations in order, where points that overwrite whatever is there go together with their neighbours."""
    for plain, run in groupby(operations, key=lambda operation: isinstance(operation, Upsert) and operation.plain):
        if plain:
            yield [operation.point for operation in run if isinstance(operation, Upsert)]
        else:
            yield from run


@dataclass(frozen=True, slots=True)
class Search:
    """Nearest passages by one named vector. `corpus`: what inverse document frequencies are taken over.

    `shortlist`: the engine may look only at the SPAN_SHORTLIST passages nearest by this vector in `dense`.
    `exact`: a graph must not be used, because it is of more passages than the condition keeps: where a filter
    keeps 1 % it finds 1 % of the best 50, 2 % with ACORN, and the exact scan took as long (8,000 passages).
    """

    using: str
    vector: Vector = field(repr=False)
    condition: StoredCondition = field(repr=False)
    limit: int
    corpus: StoredCondition | None = None
    shortlist: list[float] | None = field(default=None, repr=False)
    exact: bool = False


class Engine(Protocol):
    """Methods raise the store's errors. Writes return when applied; operations of a call apply in order."""

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """As `Store.open`."""
        ...

    def open_live(self) -> str:
        """As `Store.open_live`."""
        ...

    def beside(self) -> Engine:
        """As `Store.beside`."""
        ...

    def generations(self) -> dict[str, bool]:
        """Name -> whether it is the live one, of all that are kept."""
        ...

    def live(self) -> str | None:
        """As `Store.live`."""
        ...

    def make_live(self, generation: str) -> None:
        """As `Store.make_live`."""
        ...

    def drop(self, generation: str) -> None:
        """As `Store.drop`."""
        ...

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        """Apply operations in order; those before a failing one may have been applied."""
        ...

    def retrieve(
        self, collection: Collection, ids: Sequence[str], *, payload: bool = True, vectors: Sequence[str] = ()
    ) -> list[Record]:
        """The points that exist, in any order."""
        ...

    def search(self, searches: Sequence[Search]) -> list[list[tuple[str, float]]]:
        """For each search, passage ids with scores, best first."""
        ...

    def indexed(self, collection: Collection) -> set[str]:
        """The paths that have a payload index."""
        ...

    def index(self, collection: Collection, path: str, kind: IndexType) -> None:
        """Give a path a payload index, of what is there and what comes; idempotent. It may be of use only later."""
        ...

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        """How many points the condition holds for, exactly."""
        ...

    def tally(self, collection: Collection, field: str, condition: StoredCondition, limit: int) -> dict[str, int]:
        """Value of an indexed field -> number of points, exactly, for at most `limit` values."""
        ...

    def scroll(
        self,
        collection: Collection,
        condition: StoredCondition | None,
        fields: Sequence[str] | None = None,
        first: str | None = None,
    ) -> Iterator[Record]:
        """The points that the condition holds for (None: all), from the id `first` on, by id, each once.

        With these fields of their payloads alone; None: with all.
        """
        ...

    def snapshot(self, folder: Path) -> None:
        """As `Store.snapshot`."""
        ...

    def restore(self, folder: Path) -> None:
        """As `Store.restore`."""
        ...

    @property
    def generation(self) -> str:
        """The open generation's name."""
        ...

    def elsewhere(self, condition: StoredCondition) -> dict[str, int]:
        """Each other generation that is kept -> how many of its documents and passages the condition holds for."""
        ...

    def cleared_at_us(self, generation: str) -> int | None:
        """What was deleted before this moment is in none of a generation's files; None: the engine does not tell."""
        ...

    def vacuum(self) -> None:
        """Move `cleared_at_us` of the open generation to now, if it tells. Called by the thread that calls `maintain`."""
        ...

    def maintain(self) -> bool:
        """As `Store.maintain`."""
        ...

    def flush(self) -> None:
        """As `Store.flush`."""
        ...

    def unready(self) -> list[str]:
        """As `Store.unready`."""
        ...

    def close(self) -> None:
        """As `Store.close`."""
        ...
