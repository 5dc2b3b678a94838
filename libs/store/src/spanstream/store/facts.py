"""What a point's metadata says, in a form that the engine can index, whatever fields and types metadata has.

    facts      a code for each (field, value) of texts, integers and booleans, and for each field that holds numbers or
               dates: one index of integers answers equality for all fields of all tenants
    numbers    the metadata's numbers alone, where they stand in it; and `dates` the texts that may be dates. A field of these
               gets an index of its own once it is worth one (`ranged.py`)

Metadata itself is never indexed: the engine takes one index a path and asks it for numbers and dates alike, so with
numbers indexed a range of dates finds nothing, or numbers. A point without `facts` was written before there were any,
or has more than MAX_FACTS: such points are judged by their metadata. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

MAX_FACTS = 256  # of a point: each costs about 15 µs to write and 150 bytes of memory
FACTS, NUMBERS, DATES = "facts", "numbers", "dates"
_KNOWN = 0  # a fact of every point that has facts at all
# Begins every form of a date that the engine reads; what else begins so is ignored by the index of dates.
_DATE = re.compile(r"\s*[+-]?\d+\s*-")


def facts_payload(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored beside metadata; nothing if that would be too much."""
    numbers, dates = _only(metadata, _is_number), _only(metadata, _may_be_date)
    facts = {_KNOWN}
    facts.update(value_fact(field, value) for field, value in _values(metadata) if not isinstance(value, float))
    facts.update(field_fact(NUMBERS, field) for field, _ in _values(numbers))
    facts.update(field_fact(DATES, field) for field, _ in _values(dates))
    if len(facts) > MAX_FACTS or sum(1 for _ in _values(metadata)) > MAX_FACTS:
        return {}
    found = {FACTS: sorted(facts), NUMBERS: numbers, DATES: dates}
    return {name: part for name, part in found.items() if part}


def value_fact(field: str, value: str | int | bool) -> int:
    """The code for `field` (its names joined by dots) holding this value: texts, integers and booleans are apart."""
    return _code(type(value).__name__, field, str(value))


def field_fact(kind: str, field: str) -> int:
    """The code for `field` holding any of the NUMBERS or DATES."""
    return _code(kind, field, "")


@lru_cache(maxsize=1 << 14)  # about 5 MB; passages of a document say the same, and most documents much the same
def _code(kind: str, field: str, value: str) -> int:
    """64 bits: among a hundred million facts a filter would meet a wrong one in 200,000 million searches."""
    text = f"{kind} {len(field)} {field} {value}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def _values(value: Any, path: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    """Each value with its field. Names that no filter can name (with a dot, or quoted) are left out."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name and not {".", '"'} & set(name):
                yield from _values(inner, f"{path}.{name}" if path else name)
    else:
        items = value if isinstance(value, list) else [value]
        yield from ((path, item) for item in items if isinstance(item, str | int | float))


def _only(value: Any, wanted: Callable[[Any], bool]) -> Any:
    """The value without what is not wanted; items of a list alone, as the engine sees them. Falsy: nothing is."""
    if isinstance(value, Mapping):
        return {name: kept for name, inner in value.items() if (kept := _only(inner, wanted))}
    return [item for item in (value if isinstance(value, list) else [value]) if wanted(item)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _may_be_date(value: Any) -> bool:
    return isinstance(value, str) and _DATE.match(value) is not None
