"""Whether a condition holds for a payload: the engines' own rules, for the engine that has none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from spanstream.store.conditions import Empty, Ids, StoredCondition
from spanstream.store.payloads import Payload
from spanstream.store.queries import AllOf, AnyOf, DateRange, Match, Not, Range

_NAME = re.compile(r'"([^"]*)"|([^.]+)')


def holds(condition: StoredCondition, id: str, payload: Payload) -> bool:
    """For the point of this id. A list holds what any of its items does."""
    match condition:
        case AllOf(conditions):
            return all(holds(each, id, payload) for each in conditions)
        case AnyOf(conditions):
            return any(holds(each, id, payload) for each in conditions)
        case Not(inner):
            return not holds(inner, id, payload)
        case Ids(ids):
            return id in ids
        case Match(field, values):
            wanted = {(type(value), value) for value in values}  # 1 equals True here, but not in a filter
            return any((type(value), value) in wanted for value in _values(payload, field))
        case Range(field):
            found = (value for value in _values(payload, field) if type(value) in (int, float))
            return any(_within(float(value), condition, float) for value in found)
        case DateRange(field):
            dates = (_date(value) for value in _values(payload, field) if isinstance(value, str))
            return any(_within(value, condition, _date) for value in dates if value is not None)
        case Empty(field):
            return all(value is None for value in _values(payload, field))


def _values(payload: Payload, field: str) -> Iterator[Any]:
    """What stands in the field; the items of a list one by one, unless they can hold nothing."""
    found: list[Any] = [payload]
    for name in _path(field):
        plain = name.removesuffix("[]")
        inner = [value[plain] for value in found if isinstance(value, Mapping) and plain in value]
        found = (
            [item for value in inner for item in (value if isinstance(value, list) else ())] if plain != name else inner
        )
    for value in found:
        items = value if isinstance(value, list) else [value]
        yield from (item for item in items if isinstance(item, str | int | float))


@lru_cache(maxsize=256)
def _path(field: str) -> Sequence[str]:
    return [quoted or plain for quoted, plain in _NAME.findall(field)]


def _within(value: Any, bounds: Range | DateRange, read: Any) -> bool:
    return (
        (bounds.gte is None or value >= read(bounds.gte))
        and (bounds.gt is None or value > read(bounds.gt))
        and (bounds.lte is None or value <= read(bounds.lte))
        and (bounds.lt is None or value < read(bounds.lt))
    )


def _date(text: str) -> datetime | None:
    """A moment; UTC where the text names no zone."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
