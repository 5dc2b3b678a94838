"""Standing queries as JSON; every limit is in the schema."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from spanstream.gateway.filters import Filter, check_size
from spanstream.gateway.meanings import Meaning, canonical, leaves
from spanstream.gateway.queries import Query, check_sense, meaning
from spanstream.gateway.queries import check_size as check_query_size
from spanstream.store.standing import StandingQuery

ID = r"^[a-z0-9][a-z0-9._-]{0,63}$"
MAX_PARTS = 8  # every new document is compared with each
DEFAULT_THRESHOLD = 0.5  # docs/decisions/0014-standing-queries.md


def _check_parts(query: Query) -> Query:
    if len(leaves(canonical(meaning(query)))) > MAX_PARTS:
        raise ValueError(f"a standing query has at most {MAX_PARTS} texts and examples")
    return query


class StandingQueryBody(BaseModel):
    """What new documents are matched with."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"query": "outages of the payment service"},
                {
                    "query": {"all": ["solar power", {"not": "price"}]},
                    "filter": {"field": "source", "in": ["news"]},
                    "threshold": 0.6,
                },
            ]
        },
    )

    query: Annotated[
        Query,
        BeforeValidator(check_query_size),
        AfterValidator(check_sense),
        AfterValidator(_check_parts),
        Field(description=f"as in a search, of at most {MAX_PARTS} texts and examples"),
    ]
    filter: Annotated[Filter | None, BeforeValidator(check_size)] = None
    threshold: float = Field(
        DEFAULT_THRESHOLD,
        ge=0,
        le=1,
        allow_inf_nan=False,
        strict=True,
        description="0 to 1: the score from which a document matches, whatever other documents there are",
    )

    def meaning(self) -> Meaning:
        """As the searcher takes it."""
        return canonical(meaning(self.query))

    def definition(self) -> dict[str, Any]:
        """As it was sent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class StandingQueryAnswer(BaseModel):
    """A saved query. `revision` rises with every change. `active` false: it is not computed for the present index yet,
    because the encoder was changed, and matches nothing until it is.
    """

    id: str
    query: Any
    filter: Any = None
    threshold: float
    revision: int
    active: bool

    @classmethod
    def of(cls, query: StandingQuery, generation: str) -> Self:
        """From the stored value."""
        told = query.definition
        active = query.computed is not None and query.computed.generation == generation
        return cls(
            id=query.id,
            query=told["query"],
            filter=told.get("filter"),
            threshold=query.threshold,
            revision=query.revision,
            active=active,
        )


class StandingQueries(BaseModel):
    """The caller's standing queries, by id."""

    queries: list[StandingQueryAnswer]
