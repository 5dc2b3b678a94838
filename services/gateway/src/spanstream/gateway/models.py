"""Requests and responses of the search API; every limit is in the schema."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)

from spanstream.events.ids import MAX_ID_CHARACTERS, MAX_VERSION
from spanstream.gateway import cursors
from spanstream.gateway.after import AFTER_WAIT_SECONDS, Receipts
from spanstream.gateway.closed import Closed
from spanstream.gateway.deadline import MAX_MILLISECONDS, MIN_MILLISECONDS
from spanstream.gateway.explanation import Explanation
from spanstream.gateway.explanation_view import ExplanationResponse
from spanstream.gateway.filters import Filter, check_size
from spanstream.gateway.found import Answer, Found, FoundPassage
from spanstream.gateway.fusion import Fusion
from spanstream.gateway.meanings import Meaning, canonical
from spanstream.gateway.options import (
    MAX_BOOSTS,
    MAX_FACETS,
    BoostRequest,
    Facet,
    FacetRequest,
    RecencyRequest,
    check_fields,
)
from spanstream.gateway.queries import Document, Like, Query, check_sense, meaning
from spanstream.gateway.queries import check_size as check_query_size
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.reranking import Rerank, Stage
from spanstream.gateway.snippets import SNIPPET_CHARACTERS, snippet
from spanstream.gateway.spans import FoundSpan
from spanstream.gateway.status import Outcome, Status
from spanstream.runtime.names import DocumentId
from spanstream.runtime.problems import WrongField
from spanstream.store.points import Failure

MAX_LIMIT = 100
MAX_DOCUMENTS = 1000
MAX_WAIT_SECONDS = 60
MAX_SEARCHES = 32  # of a batch

# Fields of a search that may differ between the pages of one answer.
PAGED = {
    "cursor",
    "limit",
    "passages_per_document",
    "spans_per_passage",
    "facets",
    "explain",
    "after",
    "after_wait",
    "deadline_ms",
}

Version = Annotated[StrictInt, Field(ge=0, le=MAX_VERSION)]
Wait = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, strict=True)]


class RerankRequest(Closed):
    """Score the best passages again. late: words against words; cross: a cross-encoder, blend: learned
    weights, where the gateway has them."""

    stage: Stage
    depth: StrictInt = Field(20, ge=1, le=MAX_LIMIT, description="passages that are scored again")
    weight: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        strict=True,
        description="of the stage, beside the ranking so far; else 0.3 for late, 0.5 for cross, 1 for blend",
    )

    def rerank(self) -> Rerank:
        """As the searcher takes it."""
        return Rerank(self.stage, self.depth, self.stage.weight if self.weight is None else self.weight)


class SearchOptions(Closed):
    """How a question to the index is answered."""

    mode: Mode = Field(Mode.HYBRID, description="hybrid: dense, spans and lexical fused; lexical needs no encoder")
    limit: StrictInt = Field(10, ge=1, le=MAX_LIMIT, description="hits")
    filter: Annotated[Filter | None, BeforeValidator(check_size)] = None
    group_by: Literal["document", "none"] = Field("document", description="none: every passage is a hit of its own")
    passages_per_document: StrictInt = Field(3, ge=1, le=20)
    spans_per_passage: StrictInt = Field(1, ge=0, le=10)
    facets: Annotated[list[FacetRequest], AfterValidator(check_fields)] = Field(
        [], max_length=MAX_FACETS, description="values to count, over all documents that the filter keeps"
    )
    boosts: list[BoostRequest] = Field([], max_length=MAX_BOOSTS)
    recency: RecencyRequest | None = None
    diversity: float = Field(
        0, ge=0, le=1, allow_inf_nan=False, strict=True, description="0: by score alone; 1: as unlike as can be"
    )
    cursor: str | None = Field(None, max_length=cursors.MAX_CHARACTERS, description="of the page before")
    fusion: Fusion = Field(
        Fusion.CONVEX,
        description="how a hybrid search's legs become one score. rrf and dbsf: as published, without a second question",
    )
    rerank: RerankRequest | None = None
    expand: StrictBool = Field(False, description="let the gateway's writer expand the query, where it has one")
    after: Receipts = Field([], description="receipts whose documents the answer has to know of, or one of them")
    after_wait: Wait = Field(AFTER_WAIT_SECONDS, description="seconds to wait for them, at most")
    deadline_ms: StrictInt | None = Field(
        None,
        ge=MIN_MILLISECONDS,
        le=MAX_MILLISECONDS,
        description="for the search itself: what does not fit is left out",
    )
    explain: StrictBool = Field(False, description="say of each hit why it has its score and rank")

    def same(self) -> str:
        """What has to stay the same from page to page."""
        return self.model_dump_json(exclude=PAGED, by_alias=True)

    def question(self) -> Question:
        """As the searcher takes it, of the first page."""
        return Question(
            meaning=canonical(self.meaning()),
            mode=self.mode,
            limit=self.limit,
            where=self.filter.condition() if self.filter else None,
            by_document=self.group_by == "document",
            passages_per_document=self.passages_per_document,
            spans_per_passage=self.spans_per_passage,
            boosts=tuple(boost.boost() for boost in self.boosts),
            recency=self.recency.recency(datetime.now(UTC)) if self.recency else None,
            diversity=self.diversity,
            fusion=self.fusion,
            rerank=self.rerank.rerank() if self.rerank else None,
            expand=self.expand,
            explain=self.explain,
        )

    @abstractmethod
    def meaning(self) -> Meaning:
        """What is asked for."""


class SearchRequest(SearchOptions):
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

    def meaning(self) -> Meaning:
        """The query."""
        return meaning(self.query)


class SimilarRequest(SearchOptions):
    """A question for more like a document, or like its characters `start` to `end`: a passage, a span. It is not found itself."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"to": {"source": "news", "id": "17"}},
                {"to": {"source": "news", "id": "17", "start": 120, "end": 260}, "limit": 5},
            ]
        },
    )

    to: Document

    def meaning(self) -> Meaning:
        """As the query `like` means it."""
        return Like(like=self.to).meaning()


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


class SnippetHit(BaseModel):
    """Whole sentences around the best span, cut only where one is too long, and never within a word. Offsets as in spans."""

    start: int
    end: int
    text: str = Field(json_schema_extra={"maxLength": SNIPPET_CHARACTERS})

    @classmethod
    def of(cls, found: FoundPassage) -> SnippetHit:
        """From the searcher's value."""
        shown = snippet(found.passage, found.spans[0] if found.spans else None)
        return cls(start=shown.start, end=shown.end, text=shown.text)


class PassageHit(BaseModel):
    """A passage; offsets as in spans, so `text[span.start - start : span.end - start]` is the span's text."""

    ordinal: int
    start: int
    end: int
    text: str
    score: float
    spans: list[SpanHit]
    snippet: SnippetHit


class DocumentHit(BaseModel):
    """A document, or one passage of it where hits are not grouped. Scores compare only within one answer."""

    source: str
    id: str
    version: int
    title: str
    metadata: dict[str, Any]
    score: float
    passages: list[PassageHit]
    explanation: ExplanationResponse | None = None

    @classmethod
    def of(cls, found: Found, explanation: Explanation | None) -> DocumentHit:
        """From the searcher's value, and the explanation of its best passage."""
        passages = [
            PassageHit(
                ordinal=each.passage.ordinal,
                start=each.passage.start,
                end=each.passage.end,
                text=each.passage.text,
                score=each.score,
                spans=[SpanHit.of(span) for span in each.spans],
                snippet=SnippetHit.of(each),
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
            explanation=ExplanationResponse.of(explanation) if explanation else None,
        )


class SearchResponse(BaseModel):
    """The answer. `partial`: documents changed meanwhile and there may be more hits than these. `by_words`: the model did not
    answer, so a hybrid search was ranked by words alone. `unfinished`: the steps that were left out or not waited for. `cursor`:
    goes on behind these hits; none where there are no more, or after a thousand.
    """

    hits: list[DocumentHit]
    facets: list[Facet]
    cursor: str | None
    partial: bool
    by_words: bool
    unfinished: list[str]
    took_ms: float

    @classmethod
    def of(
        cls,
        answer: Answer,
        explanations: Sequence[Explanation],
        facets: list[Facet],
        cursor: str | None,
        took_ms: float,
    ) -> SearchResponse:
        """From the searcher's value, and an explanation of each hit or none at all."""
        return cls(
            hits=[DocumentHit.of(*each) for each in zip_longest(answer.hits, explanations)],
            facets=facets,
            cursor=cursor,
            partial=answer.partial,
            by_words=answer.by_words,
            unfinished=list(answer.unfinished),
            took_ms=took_ms,
        )


class BatchRequest(Closed):
    """Several searches in one request. Each is read on its own, so that a wrong one spoils no other."""

    requests: list[Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/SearchRequest"})]] = Field(
        min_length=1, max_length=MAX_SEARCHES
    )


class BatchAnswer(BaseModel):
    """What the search alone would be answered: a response, or a problem."""

    response: SearchResponse | None = None
    problem: SearchProblem | None = None


class SearchProblem(BaseModel):
    """As a problem document; `errors` name fields of the one search (`body.limit`)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongField] = []


class BatchResponse(BaseModel):
    """An answer for each request, in order."""

    answers: list[BatchAnswer]


class SourceCount(BaseModel):
    """A source and how many live documents it has."""

    source: str
    documents: int


class SourcesResponse(BaseModel):
    """The tenant's sources that have live documents, by name."""

    sources: list[SourceCount]


class WantedDocument(Closed):
    """A document, and optionally the version to wait for and to be told about."""

    id: DocumentId = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    version: Version | None = None


class StatusRequest(Closed):
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

    @classmethod
    def of(cls, failure: Failure) -> FailureResponse:
        """From the head's value."""
        return cls(version=failure.version, stage=failure.stage, reason=failure.reason, detail=failure.detail)


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
        return cls(
            source=source,
            id=id,
            state=status.outcome,
            version=status.version,
            content_hash=status.content_hash.hex(),
            failure=FailureResponse.of(status.failure) if status.failure else None,
        )


class StatusResponse(BaseModel):
    """One status per document asked for, in the order asked."""

    documents: list[DocumentStatus]
