"""What a point's metadata says, in a form that the engine can index, whatever fields and types metadata has.

    facts      a code for each (field, value) of texts, integers and booleans, and for each field that holds numbers or
               dates: one index of integers answers equality for all fields of all tenants
    numbers    field -> its numbers; and `dates`: field -> its texts that may be dates. A field of these gets an index
               of its own once it is worth one (`ranged.py`)

Metadata itself is never indexed: the engine takes one index a path and asks it for numbers and dates alike, so with
numbers indexed a range of dates finds nothing, or numbers. A point without `facts` was written before there were any,
or has more than MAX_FACTS: such points are judged by their metadata. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

MAX_FACTS = 256  # values of a point: each costs some 20 µs to write and 100 bytes of memory
FACTS, NUMBERS, DATES = "facts", "numbers", "dates"
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_KNOWN = 0  # a fact of every point that has facts at all
# Begins every form of a date that the engine reads; what else begins so is ignored by the index of dates.
_DATE = re.compile(r"\s*[+-]?\d+\s*-")


def facts_payload(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored beside metadata; nothing if that would be too much."""
    facts, numbers, dates = {_KNOWN}, defaultdict(list), defaultdict(list)
    for number, (field, value) in enumerate(_values(metadata, "")):
        if number == MAX_FACTS:
            return {}
        if isinstance(value, str):
            if _DATE.match(value):
                dates[field].append(value)
                facts.add(field_fact(DATES, field))
        elif not isinstance(value, bool):
            numbers[field].append(value)
            facts.add(field_fact(NUMBERS, field))
        if not isinstance(value, float):
            facts.add(value_fact(field, value))
    found = {FACTS: sorted(facts), NUMBERS: dict(numbers), DATES: dict(dates)}
    return {name: part for name, part in found.items() if part}


def value_fact(field: str, value: str | int | bool) -> int:
    """The code for `field` (its names joined by dots) holding this value: texts, integers and booleans are apart."""
    return _code(type(value).__name__, field, value)


def field_fact(kind: str, field: str) -> int:
    """The code for `field` holding any of the NUMBERS or DATES."""
    return _code(kind, field, "")


def typed_path(kind: str, field: str) -> str:
    """Where the NUMBERS or DATES of `field` are stored, spelt as engines name an index."""
    return f"{kind}.{field}" if _PLAIN.fullmatch(field) else f'{kind}."{field}"'


@lru_cache(maxsize=1 << 14)  # about 5 MB; passages of a document say the same, and documents much the same
def _code(kind: str, field: str, value: str | int) -> int:
    """64 bits: among a hundred million facts a filter would meet a wrong one in 200,000 million searches."""
    text = f"{kind} {len(field)} {field} {value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def _values(value: Any, field: str) -> Iterator[tuple[str, str | int | float]]:
    """Each value with its field. Names that no filter can name (with a dot, or quoted) are left out."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name and "." not in name and '"' not in name:
                yield from _values(inner, f"{field}.{name}" if field else name)
    else:
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, str | int | float):
                yield field, item
