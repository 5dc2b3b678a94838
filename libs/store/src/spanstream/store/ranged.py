"""Which fields of numbers and dates get an index of their own: those that searches bound, where it is worth it.

Such an index costs memory for each point of all tenants, and a reading of all payloads to make. So it is made when a
condition first bounds a field that at least WORTH points of the tenant hold something in, and for at most MAX_INDEXES
fields of a collection. Else the payloads of the points that have the field are read, some 5 µs each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from spanstream.store import conditions
from spanstream.store.engine import INDEXES, Collection, Engine, IndexType
from spanstream.store.errors import StoreUnavailable
from spanstream.store.queries import AllOf, AnyOf, Condition, DateRange, Not, Range, Scope

WORTH = 1000  # points: reading fewer takes less time than a search of an index that is large enough to mind
MAX_INDEXES = 32  # each 80 bytes a point, and some 200 where it has the field: 3 to 6 KB a passage if all are used


class RangeIndexes:
    """Thread-safe: two that make the same index make it once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._paths: dict[Collection, set[str]] = {}  # that have an index

    def prepare(self, collection: Collection, scope: Scope, where: Condition | None) -> None:
        """Make the indexes that this condition of a caller is worth. Raises what the engine does."""
        for bounds in _bounded(where):
            paths = self._known(collection)
            path = conditions.bounded_path(bounds)
            if path in paths or len(paths - INDEXES[collection].keys()) >= MAX_INDEXES:
                continue
            if self._engine.count(collection, conditions.holding(bounds, scope)) >= WORTH:
                kind = IndexType.DATE if isinstance(bounds, DateRange) else IndexType.NUMBER
                with suppress(StoreUnavailable):  # without room for it metadata is read, as where it is not worth it
                    self._engine.index(collection, path, kind)
                    paths.add(path)

    def _known(self, collection: Collection) -> set[str]:
        if collection not in self._paths:
            self._paths[collection] = self._engine.indexed(collection)
        return self._paths[collection]


def _bounded(condition: Condition | None) -> Iterator[Range | DateRange]:
    match condition:
        case Range() | DateRange() if conditions.has_facts(condition):
            yield condition
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _bounded(part)
        case Not(inner):
            yield from _bounded(inner)
