"""What can be asked of the store: a scope that no caller widens, filters that only narrow it, and legs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.store.points import Passage, Sparse


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks: the tenant, and the groups and sources the caller is bound to (None: all). From the identity alone."""

    tenant: str
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """The field holds one of `values` (or, for a list field, any of its items does)."""

    field: str  # "source", "id", or a dotted path below metadata: "metadata.author.name"
    values: tuple[str | int | bool, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds on a numeric field; None is open."""

    field: str
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


@dataclass(frozen=True, slots=True)
class DateRange:
    """Bounds on a date field (RFC 3339 strings in the payload and here); None is open."""

    field: str
    gte: str | None = None
    gt: str | None = None
    lte: str | None = None
    lt: str | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds; with none, everything does."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


Condition = Match | Range | DateRange | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Dense:
    """Cosine with the passage vector. Scores -1..1."""

    vector: NDArray[np.float32] = field(repr=False)  # [dimension]


@dataclass(frozen=True, slots=True)
class Spans:
    """The largest cosine with any of the passage's span vectors (MaxSim of one query vector).

    In a large scope the store may look only at the passages nearest by their own vector: `engine.SPAN_SHORTLIST`.
    """

    vector: NDArray[np.float32] = field(repr=False)  # [dimension]


@dataclass(frozen=True, slots=True)
class Lexical:
    """BM25: sparse dot product, inverse document frequencies taken over what the scope sees: those of other
    groups would tell which words their documents hold."""

    terms: Sparse


Leg = Dense | Spans | Lexical


@dataclass(frozen=True, slots=True)
class Query:
    """One leg over the passages of a scope. `among`: only these passage ids (their exact scores)."""

    leg: Leg
    scope: Scope
    limit: int
    where: Condition | None = None
    among: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, without its vectors. Its head has not been asked yet: see `Store.heads`."""

    id: str
    score: float
    passage: Passage
