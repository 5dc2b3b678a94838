"""The question why a document was missed, and its answer, as the API has them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spanstream.events.ids import MAX_ID_CHARACTERS
from spanstream.gateway.closed import Closed
from spanstream.gateway.explanation_view import ExplanationResponse, text_or_document
from spanstream.gateway.found import Found
from spanstream.gateway.miss import DEEPEST, LegRank, Miss, Reason
from spanstream.gateway.models import FailureResponse, SearchRequest, Version
from spanstream.gateway.queries import Document
from spanstream.runtime.names import DocumentId, SourceName

_SENTENCES = {
    Reason.NEVER_RECEIVED: "no such document has been received, or it is still on its way: ask with its receipt's version",
    Reason.PENDING: "this version is on its way",
    Reason.FAILED: "this version failed",
    Reason.DELETED: "it was deleted",
    Reason.FILTERED: "the request leaves it out",
    Reason.OUTRANKED: "other passages answer the query better",
    Reason.BEYOND_LIMIT: "it stands behind the last hit that was asked for",
    Reason.SHOWN: "it is among the hits",
}


class MissedDocument(Closed):
    """The document that was missed, and optionally the version, from its receipt."""

    source: SourceName = Field(max_length=64)
    id: DocumentId = Field(max_length=MAX_ID_CHARACTERS)
    version: Version | None = None


class MissRequest(BaseModel):
    """A search request, and a document that is not among its hits."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"query": {"query": "solar power", "limit": 5}, "document": {"source": "news", "id": "17"}}]
        },
    )

    query: SearchRequest = Field(description="without cursor, after, deadline_ms and facets")
    document: MissedDocument

    @field_validator("query")
    @classmethod
    def _of_one_page(cls, query: SearchRequest) -> SearchRequest:
        given = [name for name in ("cursor", "after", "deadline_ms", "facets") if getattr(query, name)]
        if given:
            raise ValueError(f"a miss is explained without '{given[0]}'")
        return query


class ExcludingCondition(BaseModel):
    """A part of the request that leaves the document out: its path and what stands there."""

    field: str
    condition: Any


class LegRankResponse(BaseModel):
    """Where a leg ranks the document's best passage among all passages that the search may look at.

    `rank` null: it holds nothing that the leg looks for, or stands behind 10,000 others. `finds`: the leg chooses the
    candidates. `text` or `like`: the part of the query.
    """

    leg: str
    text: str | None
    like: Document | None
    finds: bool
    rank: int | None = Field(json_schema_extra={"maximum": DEEPEST})
    score: float | None

    @classmethod
    def of(cls, rank: LegRank) -> LegRankResponse:
        """From the value."""
        text, like = text_or_document(rank.asked)
        return cls(leg=rank.leg, text=text, like=like, finds=rank.finds, rank=rank.rank, score=rank.score)


class BetterHit(BaseModel):
    """A hit of the search as it was asked."""

    source: str
    id: str
    title: str
    score: float

    @classmethod
    def of(cls, found: Found) -> BetterHit:
        """From the searcher's value."""
        head = found.head
        return cls(source=head.key.source, id=head.key.id, title=head.title, score=found.score)


class MissResponse(BaseModel):
    """Why. `version`: what searches see now, 0 where they see nothing. `failure`: of a newer version, or of the one asked for.

    `filtered`: by each of `conditions`. `beyond_limit` and `shown`: the `rank` among the hits where `limit` are asked for.
    `outranked`: `at` the leg that came closest to finding it, or at `fusion` where it was a candidate; `legs` says how close
    each came. `explanation`: of the document's best passage, as if it had been found. `hits`: those of the search as asked.
    """

    source: str
    id: str
    reason: Reason
    detail: str
    version: int
    failure: FailureResponse | None
    conditions: list[ExcludingCondition]
    rank: int | None
    limit: int | None
    at: str | None
    legs: list[LegRankResponse]
    explanation: ExplanationResponse | None
    hits: list[BetterHit]
    by_words: bool

    @classmethod
    def of(cls, request: MissRequest, miss: Miss) -> MissResponse:
        """From the value, and what it answers."""
        return cls(
            source=request.document.source,
            id=request.document.id,
            reason=miss.reason,
            detail=_SENTENCES[miss.reason],
            version=miss.version,
            failure=FailureResponse.of(miss.failure) if miss.failure else None,
            conditions=[_excluding(request.query, path) for path in miss.conditions],
            rank=miss.rank,
            limit=miss.limit,
            at=miss.at,
            legs=[LegRankResponse.of(leg) for leg in miss.legs],
            explanation=ExplanationResponse.of(miss.explanation) if miss.explanation else None,
            hits=[BetterHit.of(hit) for hit in miss.by],
            by_words=miss.by_words,
        )


def _excluding(request: SearchRequest, path: str) -> ExcludingCondition:
    """What stands in the request at a path such as `filter.all.1`."""
    found: Any = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name in path.split("."):
        found = found[int(name)] if isinstance(found, list) else found[name]
    return ExcludingCondition(field=f"query.{path}", condition=found)
