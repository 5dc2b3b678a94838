"""How many documents have which value of a field. Pure: over payloads that were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from spanstream.store.payloads import Payload

MAX_VALUE_CHARACTERS = (
    512  # of a text that counts as a value: what is longer cannot be filtered on, nor shown in a list
)

Value = str | int | float | bool
Tally = list[tuple[Value, int]]  # by falling count, then by value: numbers, false, true, texts


def tallies(payloads: Iterable[Payload], limits: Mapping[str, int]) -> dict[str, Tally]:
    """Field -> its most frequent values, at most so many; the items of a list are values, each once a payload."""
    counts: dict[str, Counter[tuple[type, Value]]] = {field: Counter() for field in limits}
    paths = {field: field.split(".") for field in limits}
    for payload in payloads:
        for field, path in paths.items():
            counts[field].update(_values(payload, path))
    return {field: first(((value, n) for (_, value), n in counts[field].items()), limits[field]) for field in limits}


def first(counts: Iterable[tuple[Value, int]], limit: int) -> Tally:
    """The most frequent values, in order."""
    return sorted(counts, key=_order)[:limit]


def _values(payload: Payload, path: list[str]) -> set[tuple[type, Value]]:
    """With their types, since 1 equals true here but not in a filter."""
    found: Any = payload
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    items = found if isinstance(found, list) else [found]
    return {(type(item), item) for item in items if _counts(item)}


def _counts(item: Any) -> bool:
    return isinstance(item, int | float) or (isinstance(item, str) and len(item) <= MAX_VALUE_CHARACTERS)


def _order(entry: tuple[Value, int]) -> tuple[int, int, float, str]:
    value, count = entry
    if isinstance(value, str):
        return (-count, 2, 0, value)
    return (-count, 1 if isinstance(value, bool) else 0, value, "")
