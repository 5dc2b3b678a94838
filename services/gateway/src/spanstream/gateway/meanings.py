"""Queries as sets of meanings: `all`, `any`, `not` over texts and examples, and how well a passage belongs to one. Pure.

A leaf gives each passage a grade, 0 to 1. `not` is its complement, `all` the geometric mean, `any` its dual by De Morgan. So a
part that is named twice counts once, order says nothing, a double negation is none, and no passage gains by a `not` of what
it is about. (SetCSE, Liu 2024, queries with sums and differences of cosines, which have none of these laws.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-6  # a grade of 0 would outvote everything else in an `all`


@dataclass(frozen=True, slots=True)
class Words:
    """What a text means."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Example:
    """What a stored document is about, or a part of its text: characters `start` to `end`, half-open."""

    source: str
    id: str = field(repr=False)
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Every part."""

    parts: tuple[Meaning, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part."""

    parts: tuple[Meaning, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Anything else."""

    part: Meaning


Leaf = Words | Example
Meaning = Leaf | All | AnyOf | Not
Grades = NDArray[np.float32]  # [passages], 0 to 1


def canonical(meaning: Meaning, *, negated: bool = False) -> Meaning:
    """The one form of all that mean the same by the laws above: `not` at leaves only, no part twice, in a fixed order."""
    match meaning:
        case Not(part):
            return canonical(part, negated=not negated)
        case All(parts) | AnyOf(parts):
            distinct = {canonical(part, negated=negated) for part in parts}
            if len(distinct) == 1:
                return distinct.pop()
            ordered = tuple(sorted(distinct, key=_order))
            return All(ordered) if isinstance(meaning, All) != negated else AnyOf(ordered)
        case _:
            return Not(meaning) if negated else meaning


def leaves(meaning: Meaning) -> list[Leaf]:
    """Each once, in order."""
    return list(dict.fromkeys(leaf for leaf, _ in _leaves(meaning)))


def sought(meaning: Meaning) -> list[Leaf]:
    """Of a canonical meaning: the leaves that are not behind a `not`, which find candidates."""
    return list(dict.fromkeys(leaf for leaf, negated in _leaves(meaning) if not negated))


def seeks(meaning: Meaning) -> bool:
    """Whether a canonical meaning says what to look for: `not` alone, or as a part of an `any`, fits nearly everything."""
    match meaning:
        case Not():
            return False
        case All(parts):
            return any(map(seeks, parts))
        case AnyOf(parts):
            return all(map(seeks, parts))
        case _:
            return True


def grade(meaning: Meaning, grades: Mapping[Leaf, Grades]) -> Grades:
    """How well each passage belongs, from the grades of the leaves."""
    match meaning:
        case Not(part):
            return 1 - grade(part, grades)
        case All(parts):
            return _together([grade(part, grades) for part in parts])
        case AnyOf(parts):
            return 1 - _together([1 - grade(part, grades) for part in parts])
        case _:
            return grades[meaning]


def _together(parts: list[Grades]) -> Grades:
    mean: Grades = np.exp(np.mean(np.log(np.clip(parts, _LEAST, 1)), axis=0)).astype(np.float32)
    return mean


def _leaves(meaning: Meaning, *, negated: bool = False) -> Iterator[tuple[Leaf, bool]]:
    match meaning:
        case Not(part):
            yield from _leaves(part, negated=not negated)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part, negated=negated)
        case _:
            yield meaning, negated


def _order(meaning: Meaning) -> tuple[str, ...]:
    match meaning:
        case Words(text):
            return ("words", text)
        case Example(source, id, start, end):
            return ("example", source, id, str(start), str(end))
        case Not(part):
            return ("not", *_order(part))
        case All(parts) | AnyOf(parts):
            inner = (word for part in parts for word in ("(", *_order(part), ")"))
            return ("all" if isinstance(meaning, All) else "any", *inner)
