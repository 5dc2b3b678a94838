"""Requests and responses of the search API; every limit is in the schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from spanstream.events.ids import MAX_ID_CHARACTERS, MAX_VERSION
from spanstream.gateway.after import AFTER_WAIT_SECONDS, Receipts
from spanstream.gateway.deadline import MAX_MILLISECONDS, MIN_MILLISECONDS
from spanstream.gateway.filters import Filter, check_size
from spanstream.gateway.meanings import canonical
from spanstream.gateway.queries import Query, check_sense, meaning
from spanstream.gateway.queries import check_size as check_query_size
from spanstream.gateway.search import Answer, Found, Mode, Question
from spanstream.gateway.spans import FoundSpan
from spanstream.gateway.status import Outcome, Status

MAX_LIMIT = 100
MAX_DOCUMENTS = 1000
MAX_WAIT_SECONDS = 60

Version = Annotated[StrictInt, Field(ge=0, le=MAX_VERSION)]
Wait = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchRequest(_Request):
    """A question to the index."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"query": "how are temporary files removed"},
                {"query": {"all": ["solar power", {"not": "price"}, {"unlike": {"source": "news", "id": "17"}}]}},
                {"query": {"like": {"source": "handbook", "id": "leave.md"}}},
                {
                    "query": "joining threads",
                    "mode": "hybrid",
                    "limit": 5,
                    "filter": {"all": [{"field": "source", "in": ["python"]}, {"field": "metadata.year", "gte": 2020}]},
                },
            ]
        },
    )

    query: Annotated[
        Query,
        BeforeValidator(check_query_size),
        AfterValidator(check_sense),
        Field(description="a text, or all, any, not, like and unlike over texts and documents"),
    ]
    mode: Mode = Field(Mode.HYBRID, description="hybrid: dense, spans and lexical fused; lexical needs no encoder")
    limit: StrictInt = Field(10, ge=1, le=MAX_LIMIT, description="hits")
    filter: Annotated[Filter | None, BeforeValidator(check_size)] = None
    group_by: Literal["document", "none"] = Field("document", description="none: every passage is a hit of its own")
    passages_per_document: StrictInt = Field(3, ge=1, le=20)
    spans_per_passage: StrictInt = Field(1, ge=0, le=10)
    after: Receipts = Field([], description="receipts whose documents the answer has to know of, or one of them")
    after_wait: Wait = Field(AFTER_WAIT_SECONDS, description="seconds to wait for them, at most")
    deadline_ms: StrictInt | None = Field(
        None,
        ge=MIN_MILLISECONDS,
        le=MAX_MILLISECONDS,
        description="for the search itself: what does not fit is left out",
    )

    def question(self) -> Question:
        """As the searcher takes it."""
        return Question(
            meaning=canonical(meaning(self.query)),
            mode=self.mode,
            limit=self.limit,
            where=self.filter.condition() if self.filter else None,
            by_document=self.group_by == "document",
            passages_per_document=self.passages_per_document,
            spans_per_passage=self.spans_per_passage,
        )


class SpanHit(BaseModel):
    """A span: `start` and `end` are characters of the document's normalised text, half-open."""

    start: int
    end: int
    text: str
    score: float

    @classmethod
    def of(cls, span: FoundSpan) -> SpanHit:
        """From the searcher's value."""
        return cls(start=span.start, end=span.end, text=span.text, score=span.score)


class PassageHit(BaseModel):
    """A passage; offsets as in spans, so `text[span.start - start : span.end - start]` is the span's text."""

    ordinal: int
    start: int
    end: int
    text: str
    score: float
    spans: list[SpanHit]


class DocumentHit(BaseModel):
    """A document, or one passage of it where hits are not grouped. Scores compare only within one answer."""

    source: str
    id: str
    version: int
    title: str
    metadata: dict[str, Any]
    score: float
    passages: list[PassageHit]

    @classmethod
    def of(cls, found: Found) -> DocumentHit:
        """From the searcher's value."""
        passages = [
            PassageHit(
                ordinal=each.passage.ordinal,
                start=each.passage.start,
                end=each.passage.end,
                text=each.passage.text,
                score=each.score,
                spans=[SpanHit.of(span) for span in each.spans],
            )
            for each in found.passages
        ]
        head = found.head
        return cls(
            source=head.key.source,
            id=head.key.id,
            version=head.version,
            title=head.title,
            metadata=dict(head.metadata),
            score=found.score,
            passages=passages,
        )


class SearchResponse(BaseModel):
    """The answer. `partial`: documents changed meanwhile and there may be more hits than these. `by_words`: the model did not
    answer, so a hybrid search was ranked by words alone. `unfinished`: the steps that were not waited for.
    """

    hits: list[DocumentHit]
    partial: bool
    by_words: bool
    unfinished: list[str]
    took_ms: float

    @classmethod
    def of(cls, answer: Answer, took_ms: float) -> SearchResponse:
        """From the searcher's value."""
        hits = [DocumentHit.of(hit) for hit in answer.hits]
        unfinished = list(answer.unfinished)
        return cls(hits=hits, partial=answer.partial, by_words=answer.by_words, unfinished=unfinished, took_ms=took_ms)


class SourceCount(BaseModel):
    """A source and how many live documents it has."""

    source: str
    documents: int


class SourcesResponse(BaseModel):
    """The tenant's sources that have live documents, by name."""

    sources: list[SourceCount]


class WantedDocument(_Request):
    """A document, and optionally the version to wait for and to be told about."""

    id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    version: Version | None = None


class StatusRequest(_Request):
    """Which documents of a source; with `wait`, answered once all are settled or after so many seconds."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"documents": [{"id": "a"}, {"id": "b", "version": 7}], "wait": 10}]},
    )

    documents: list[WantedDocument] = Field(min_length=1, max_length=MAX_DOCUMENTS)
    wait: Wait = Field(0, description="seconds")


class FailureResponse(BaseModel):
    """Why a version failed."""

    version: int
    stage: str
    reason: str
    detail: str


class DocumentStatus(BaseModel):
    """`version` and `content_hash` (hexadecimal) are what searches see now; 0 and empty where they see nothing."""

    source: str
    id: str
    state: Outcome
    version: int
    content_hash: str
    failure: FailureResponse | None = None

    @classmethod
    def of(cls, source: str, id: str, status: Status) -> DocumentStatus:
        """From the status value."""
        failure = None
        if status.failure:
            known = status.failure
            failure = FailureResponse(
                version=known.version, stage=known.stage, reason=known.reason, detail=known.detail
            )
        return cls(
            source=source,
            id=id,
            state=status.outcome,
            version=status.version,
            content_hash=status.content_hash.hex(),
            failure=failure,
        )


class StatusResponse(BaseModel):
    """One status per document asked for, in the order asked."""

    documents: list[DocumentStatus]
