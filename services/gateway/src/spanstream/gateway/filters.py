"""The filter language of the search API: JSON, checked, to conditions of the store. A filter only narrows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from spanstream.events.ids import MAX_ID_CHARACTERS, MAX_VERSION
from spanstream.gateway.closed import Closed
from spanstream.gateway.nesting import check_nesting
from spanstream.store.queries import AllOf, AnyOf, Condition, DateRange, Match, Not, Range

MAX_DEPTH = 8
MAX_VALUES = 256  # of one field
MAX_CONDITIONS = 64

# Tenant, version, state and groups are reserved: they follow from who asks and what is indexed.
# A backslash is no part of a path that the engines read.
FIELD = r"^(source|id|metadata(\.[^.\[\]\"\\\x00-\x1f]{1,64}){1,8})$"
# What the engines read as a date: a time zone only behind seconds, as in RFC 3339.
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:[0-5]\d)?)?)?")


def _known_field(name: str) -> str:
    if not re.fullmatch(FIELD, name):
        raise ValueError("must be source, id or metadata.NAME")
    return name


def _of_types(expected: str) -> WrapValidator:
    """One error at the value itself, instead of one below the name of each type that it could have been."""

    def checked(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            finer = [each["msg"] for each in error.errors() if not each["type"].endswith("_type")]
            raise PydanticCustomError("filter_value", "{problem}", {"problem": (finer or [expected])[0]}) from error

    return WrapValidator(checked)


FieldName = Annotated[str, AfterValidator(_known_field)]
Text = Annotated[str, Field(max_length=MAX_ID_CHARACTERS)]
Integer = Annotated[StrictInt, Field(ge=-MAX_VERSION, le=MAX_VERSION)]
Number = Integer | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = Annotated[StrictBool | Number | Text, _of_types("must be a text, a number or a boolean")]
Item = Annotated[StrictBool | Integer | Text, _of_types("must be a text, an integer or a boolean")]
Bound = Annotated[Number | Text, _of_types("must be a number or a date")]


class Comparison(Closed):
    """A field against values: `eq`, `in`, or bounds. Bounds are numbers, or dates as RFC 3339."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"field": "source", "in": ["handbook", "wiki"]},
                {"field": "metadata.year", "gte": 2000, "lt": 2010},
                {"field": "metadata.author.name", "eq": "Ada Lovelace"},
            ]
        },
    )

    field: FieldName = Field(
        max_length=256,
        description="source, id, or a dotted path below metadata",
        json_schema_extra={"pattern": FIELD},
    )
    eq: Value | None = None
    in_: list[Item] | None = Field(None, alias="in", min_length=1, max_length=MAX_VALUES)
    gte: Bound | None = None
    gt: Bound | None = None
    lte: Bound | None = None
    lt: Bound | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        bounds = list(self._bounds().values())
        if (self.eq is not None) + (self.in_ is not None) + bool(bounds) != 1:
            raise ValueError("give exactly one of 'eq', 'in', or bounds ('gte', 'gt', 'lte', 'lt')")
        dates = [bound for bound in bounds if isinstance(bound, str)]
        if dates and (len(dates) != len(bounds) or not all(map(_is_date, dates))):
            raise ValueError("bounds must be all numbers, or all dates such as 2024-12-31 or 2024-12-31T23:59:59Z")
        if bounds and not self.field.startswith("metadata."):
            raise ValueError(f"{self.field} has no order; use 'eq' or 'in'")
        return self

    def _bounds(self) -> dict[str, Any]:
        named = {"gte": self.gte, "gt": self.gt, "lte": self.lte, "lt": self.lt}
        return {name: bound for name, bound in named.items() if bound is not None}

    def condition(self) -> Condition:
        """The store's form."""
        if bounds := self._bounds():
            dates = any(isinstance(bound, str) for bound in bounds.values())
            return DateRange(self.field, **bounds) if dates else Range(self.field, **bounds)
        if isinstance(self.eq, float):
            return Range(self.field, gte=self.eq, lte=self.eq)
        return Match(self.field, (self.eq,) if self.eq is not None else tuple(self.in_ or ()))


def check_date(text: str) -> str:
    """The text if it is a date; raises ValueError."""
    if not _is_date(text):
        raise ValueError("must be a date such as 2024-12-31 or 2024-12-31T23:59:59Z")
    return text


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)  # 2024-02-30 looks like a date
    except ValueError:
        return False
    return DATE.fullmatch(text) is not None


class Every(Closed):
    """Every one holds."""

    all: list[Filter] = Field(min_length=1, max_length=MAX_CONDITIONS)

    def condition(self) -> Condition:
        """The store's form."""
        return AllOf(tuple(part.condition() for part in self.all))


class AnyOne(Closed):
    """At least one holds."""

    any: list[Filter] = Field(min_length=1, max_length=MAX_CONDITIONS)

    def condition(self) -> Condition:
        """The store's form."""
        return AnyOf(tuple(part.condition() for part in self.any))


class Negation(Closed):
    """It does not hold."""

    not_: Filter = Field(alias="not")

    def condition(self) -> Condition:
        """The store's form."""
        return Not(self.not_.condition())


def _kind(value: Any) -> str:
    """The tag of the filter's form. In angle brackets it is left out of the paths that errors name."""
    for name in ("all", "any", "not"):
        if (isinstance(value, dict) and name in value) or getattr(value, name.replace("not", "not_"), None) is not None:
            return f"<{name}>"
    return "<field>"


Filter = Annotated[
    Annotated[Every, Tag("<all>")]
    | Annotated[AnyOne, Tag("<any>")]
    | Annotated[Negation, Tag("<not>")]
    | Annotated[Comparison, Tag("<field>")],
    Discriminator(_kind),
]
for _model in (Every, AnyOne, Negation):
    _model.model_rebuild()


def check_size(value: Any) -> Any:
    """The raw filter if it is small enough to be read at all; raises ValueError."""
    message = f"a filter has at most {MAX_CONDITIONS} conditions, nested at most {MAX_DEPTH} deep"
    return check_nesting(value, parts=MAX_CONDITIONS, depth=MAX_DEPTH, message=message)


def named_sources(condition: Condition | None) -> Iterator[str]:
    """The sources that a filter asks for, so that a misspelt one can be told from an empty answer.

    What a filter excludes may well be absent.
    """
    match condition:
        case Match(field="source", values=values):
            yield from map(str, values)
        case AllOf(conditions) | AnyOf(conditions):
            for inner in conditions:
                yield from named_sources(inner)
