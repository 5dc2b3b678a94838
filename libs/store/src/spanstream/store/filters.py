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
    equal: Callable[[bool], Any]
    range: Callable[..., Any]  # gte=, gt=, lte=, lt=
    dates: Callable[..., Any]
    ids: Callable[[tuple[str, ...]], Any]
    empty: Callable[[str], Any]

    def build(self, condition: StoredCondition) -> Any:
        """The condition as a filter."""
        return self.filter(must=[self._part(condition)])

    def _part(self, condition: StoredCondition) -> Any:
        match condition:
            case AllOf(conditions):
                return self.filter(must=[self._part(item) for item in conditions])
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
        if words := [value for value in values if isinstance(value, str)]:
            yield self.any_of(words)
        if numbers := [value for value in values if isinstance(value, int) and not isinstance(value, bool)]:
            yield self.any_of(numbers)
        yield from (self.equal(value) for value in values if isinstance(value, bool))


def _bounds(condition: Range | DateRange) -> dict[str, Any]:
    bounds = {"gte": condition.gte, "gt": condition.gt, "lte": condition.lte, "lt": condition.lt}
    return {name: value for name, value in bounds.items() if value is not None}
