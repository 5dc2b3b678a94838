"""Conditions -> an engine's filter objects. Both Qdrant packages have the same model under slightly different names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spanstream.store.conditions import Empty, Ids, StoredCondition
from spanstream.store.queries import AllOf, AnyOf, DateRange, Match, Not, Range


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one package spells the parts of a filter."""

    filter: Callable[..., Any]  # must=, should=, must_not=: lists of parts
    field: Callable[..., Any]  # key=, match= or range=
    any_of: Callable[[list[Any]], Any]  # strings, or integers
    equal: Callable[[Any], Any]  # a string, an integer or a boolean
    range: Callable[..., Any]  # gte=, gt=, lte=, lt=
    dates: Callable[..., Any]
    ids: Callable[[tuple[str, ...]], Any]
    empty: Callable[[str], Any]

    def build(self, condition: StoredCondition) -> Any:
        """The condition as a filter.

        As flat and plain as it can be: the engine takes points from an index without looking at each of them again only for
        values that are asked for at the filter's top. Below it, or as any of one value, a scan takes five times as long.
        """
        return self.filter(must=[self._part(item) for item in _all_of(condition)])

    def _part(self, condition: StoredCondition) -> Any:
        match condition:
            case AllOf():
                return self.build(condition)
            case AnyOf(conditions):
                return self._any([self._part(item) for item in conditions])
            case Not(inner):
                return self.filter(must_not=[self._part(inner)])
            case Match(field, values):
                return self._any([self.field(key=field, match=match) for match in self._matches(values)])
            case Range(field):
                return self.field(key=field, range=self.range(**_bounds(condition)))
            case DateRange(field):
                return self.field(key=field, range=self.dates(**_bounds(condition)))
            case Ids(ids):
                return self.ids(ids)
            case Empty(field):
                return self.empty(field)

    def _any(self, parts: list[Any]) -> Any:
        """At least one of the parts. None at all holds for nothing; an empty filter would hold for everything."""
        if len(parts) == 1:
            return parts[0]
        return self.filter(should=parts or [self.ids(())])

    def _matches(self, values: tuple[str | int | bool, ...]) -> Iterator[Any]:
        words = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
        for alike in (words, numbers):
            if len(alike) > 1:
                yield self.any_of(alike)
            else:
                yield from map(self.equal, alike)
        yield from (self.equal(value) for value in values if isinstance(value, bool))


def _all_of(condition: StoredCondition) -> Iterator[StoredCondition]:
    """What has to hold, each for itself."""
    if isinstance(condition, AllOf):
        for part in condition.conditions:
            yield from _all_of(part)
    else:
        yield condition


def _bounds(condition: Range | DateRange) -> dict[str, Any]:
    bounds = {"gte": condition.gte, "gt": condition.gt, "lte": condition.lte, "lt": condition.lt}
    return {name: value for name, value in bounds.items() if value is not None}
