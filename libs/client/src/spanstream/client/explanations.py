"""Why a hit has its score, and why a document was missed, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LegScore:
    """What one leg of a search says of a passage; `contribution` is weight times normalised, `rank` is among the candidates."""

    leg: str
    score: float
    normalised: float
    weight: float
    contribution: float
    rank: int


@dataclass(frozen=True, slots=True)
class Added:
    """What a step behind the legs added to the score, and the words it looked for beside the query's."""

    step: str
    amount: float
    words: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the passage that the query asks for. Offsets are those of the document's normalised text."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """How well the passage belongs to a part of a query, 0 to 1. `kind`: all, any, not, text (`text`) or like (`like`)."""

    kind: str
    grade: float
    text: str | None = field(default=None, repr=False)
    like: Mapping[str, Any] | None = field(default=None, repr=False)
    parts: tuple[Part, ...] = ()
    legs: tuple[LegScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of a hit's best passage. `score` is the sum of the legs' contributions and the amounts added; of a set of meanings the
    grade of `parts`. `without`: the rank among the candidates if a leg had no say."""

    score: float
    rank: int
    candidates: int
    legs: tuple[LegScore, ...] = ()
    added: tuple[Added, ...] = ()
    parts: Part | None = None
    without: Mapping[str, int] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    title_words: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where a leg ranks the document's best passage among all; None: nowhere near. `finds`: it chooses the candidates."""

    leg: str
    finds: bool
    rank: int | None
    score: float | None
    text: str | None = field(default=None, repr=False)
    like: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Better:
    """A hit of the search as it was asked."""

    source: str
    id: str
    title: str = field(repr=False)
    score: float


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a document is not among the hits. `reason`: never_received, pending, failed, deleted, filtered (by `conditions`,
    path and JSON), outranked (`at` a leg or at fusion; `legs` says how close each came), beyond_limit or shown (`rank` where
    `limit` are asked for)."""

    source: str
    id: str
    reason: str
    detail: str
    version: int = 0
    failure: Mapping[str, Any] | None = None
    conditions: tuple[tuple[str, Any], ...] = field(default=(), repr=False)
    rank: int | None = None
    limit: int | None = None
    at: str | None = None
    legs: tuple[LegRank, ...] = ()
    explanation: Explanation | None = None
    hits: tuple[Better, ...] = ()
    by_words: bool = False
