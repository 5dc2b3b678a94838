"""Options of a search as JSON, checked: facets, boosts and recency."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StrictInt

from spanstream.gateway.boosts import Boost
from spanstream.gateway.closed import Closed
from spanstream.gateway.filters import FIELD, Filter, check_date, check_size
from spanstream.gateway.recency import ACCEPTED_AT, Recency
from spanstream.store.tallies import Tally

MAX_FACETS = 8
MAX_FACET_VALUES = 100
MAX_BOOSTS = 16
MAX_FACTOR = 10
MAX_HALF_LIFE_DAYS = 100_000

_FACET = FIELD.replace("id|", "")
_DATED = FIELD.replace("source|id|", f"{ACCEPTED_AT}|")


def _facet(name: str) -> str:
    if not re.fullmatch(_FACET, name):
        raise ValueError("must be source or metadata.NAME")
    return name


def _dated(name: str) -> str:
    if not re.fullmatch(_DATED, name):
        raise ValueError(f"must be {ACCEPTED_AT} or metadata.NAME")
    return name


class FacetRequest(Closed):
    """A field whose values are counted over all documents that the filter keeps, whatever is searched for."""

    field: Annotated[str, AfterValidator(_facet)] = Field(
        max_length=256, description="source, or a dotted path below metadata", json_schema_extra={"pattern": _FACET}
    )
    limit: StrictInt = Field(10, ge=1, le=MAX_FACET_VALUES, description="values, the most frequent ones")


def check_fields(facets: list[FacetRequest]) -> list[FacetRequest]:
    """The facets if each field is named once; raises ValueError."""
    if len({facet.field for facet in facets}) < len(facets):
        raise ValueError("a field is named twice")
    return facets


class FacetValue(BaseModel):
    """A value and how many documents have it; a document counts once for each item of a list."""

    value: bool | int | float | str
    count: int


class Facet(BaseModel):
    """The most frequent values of a field, by falling count."""

    field: str
    values: list[FacetValue]

    @classmethod
    def of(cls, field: str, tally: Tally) -> Self:
        """From the store's value."""
        return cls(field=field, values=[FacetValue(value=value, count=count) for value, count in tally])


class BoostRequest(Closed):
    """Passages that the filter keeps gain (`factor` above 1) or lose (below 1) by as much as its logarithm says."""

    filter: Annotated[Filter, BeforeValidator(check_size)]
    factor: float = Field(ge=1 / MAX_FACTOR, le=MAX_FACTOR, allow_inf_nan=False, strict=True)

    def boost(self) -> Boost:
        """As the searcher takes it."""
        return Boost(self.filter.condition(), self.factor)


class RecencyRequest(Closed):
    """Newer documents first: after each half-life the share `weight` of a passage's lead is halved again."""

    field: Annotated[str, AfterValidator(_dated)] = Field(
        max_length=256, description="a date below metadata, or accepted_at", json_schema_extra={"pattern": _DATED}
    )
    half_life_days: float = Field(gt=0, le=MAX_HALF_LIFE_DAYS, allow_inf_nan=False, strict=True)
    weight: float = Field(0.5, ge=0, le=1, allow_inf_nan=False, strict=True, description="0: none; 1: the most")
    now: Annotated[str, AfterValidator(check_date)] | None = Field(
        None,
        max_length=64,
        description="what ages are counted to, RFC 3339, so that answers can be repeated; else the time",
    )

    def recency(self, now: datetime) -> Recency:
        """As the searcher takes it; `now` where the request says nothing."""
        told = self.now and datetime.fromisoformat(self.now)
        return Recency(self.field, self.half_life_days, self.weight, told or now)
