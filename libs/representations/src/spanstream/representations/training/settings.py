"""The types of what a recipe may set, each with the range that a value must be in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple


class Range(NamedTuple):
    """`holds` says whether a value of the type is in it; `words` end "must be"."""

    words: str
    holds: Callable[[Any], bool]


def at_least(least: int, why: str = "") -> Range:
    """`why`: what the range is good for, for a person who is refused."""
    return Range(f"{least} at least{why}", lambda value: value >= least)


_ABOVE_0 = Range("above 0", lambda value: value > 0)
_NOT_BELOW_0 = Range("0 or above", lambda value: value >= 0)

Positive = Annotated[float, _ABOVE_0]
NotNegative = Annotated[float, _NOT_BELOW_0]
Share = Annotated[float, Range("between 0 and 1", lambda value: 0 <= value <= 1)]
Count = Annotated[int, _ABOVE_0]
CountOrNone = Annotated[int, _NOT_BELOW_0]
Counts = Annotated[tuple[int, ...], Range("whole numbers above 0", lambda value: bool(value) and min(value) > 0)]
