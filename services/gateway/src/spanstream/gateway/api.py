"""The search API: search, sources and document status over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.gateway.asking import UnknownExample
from spanstream.gateway.contents import content
from spanstream.gateway.document_view import (
    MAX_ORDINAL,
    MAX_PAGE_PASSAGES,
    PAGE_PASSAGES,
    ContentResponse,
    ContentRoute,
)
from spanstream.gateway.expansion import NoWriter
from spanstream.gateway.explaining import explain
from spanstream.gateway.filters import named_sources
from spanstream.gateway.miss import Misses
from spanstream.gateway.miss_view import MissRequest, MissResponse
from spanstream.gateway.models import (
    MAX_WAIT_SECONDS,
    DocumentStatus,
    SearchRequest,
    SearchResponse,
    SimilarRequest,
    SourceCount,
    SourcesResponse,
    StatusRequest,
    StatusResponse,
)
from spanstream.gateway.reranking import NoSuchStage
from spanstream.gateway.search import Question, Searcher
from spanstream.gateway.status import Watch, status
from spanstream.gateway.visibility import admits
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.metrics import GATEWAY_SEARCHES, GATEWAY_SECONDS
from spanstream.runtime.problems import Problem, responses
from spanstream.store.errors import StoreError, StoreRejected
from spanstream.store.generation import Generation
from spanstream.store.points import Head, State
from spanstream.store.queries import Scope
from spanstream.store.store import Store

RETRY_SECONDS = 1


def router(
    store: Store, searcher: Searcher, generation: Callable[[], Generation], authenticator: Authenticator
) -> APIRouter:
    """The routes. `generation()` raises StoreUnavailable until the index is open."""
    routes = APIRouter(responses=responses(401, 403, 503))
    reader = Depends(authenticator.requires("read"))

    def read(keys: Sequence[Key]) -> Mapping[Key, Head]:
        generation()
        return store.heads(keys)

    watch = Watch(read)

    @routes.post("/v1/search", summary="Search", response_model=SearchResponse, responses=responses(400, 415, 422))
    def search(request: SearchRequest, caller: Identity = reader) -> SearchResponse:
        return answered(_scope(caller), request.question(), "body.query")

    @routes.post(
        "/v1/similar",
        summary="Search for more like a document, or a part of one",
        response_model=SearchResponse,
        responses=responses(400, 415, 422),
    )
    def similar(request: SimilarRequest, caller: Identity = reader) -> SearchResponse:
        return answered(_scope(caller), request.question(), "body.to")

    def answered(scope: Scope, question: Question, field: str) -> SearchResponse:
        """`field`: where the request says what to look for."""
        began = time.monotonic()
        with _translated(field), _counted(question):
            dimension = generation().dimension
            _refuse_unknown_sources(store, scope, question)
            answer = searcher.search(scope, question, dimension)
            explanations = explain(store, scope, answer)
        return SearchResponse.of(answer, explanations, round((time.monotonic() - began) * 1000, 2))

    misses = Misses(store, searcher)

    @routes.post(
        "/v1/explain-miss",
        summary="Why a document is not among the hits of a search",
        responses=responses(400, 415, 422),
    )
    def explain_miss(request: MissRequest, caller: Identity = reader) -> MissResponse:
        scope, question, missed = _scope(caller), request.query.question(), request.document
        key = _key(scope, missed.source, missed.id, "body.document.id", "body.document.source")
        with _translated("body.query.query"):
            dimension = generation().dimension
            _refuse_unknown_sources(store, scope, question, "body.query.filter")
            head = _admitted(store.heads([key]), scope).get(key)
            return MissResponse.of(request, misses.explain(scope, question, dimension, head, missed.version))

    @routes.get("/v1/sources", summary="Sources and their live documents")
    def sources(caller: Identity = reader) -> SourcesResponse:
        with _translated():
            generation()
            counts = store.sources(_scope(caller))
        return SourcesResponse(sources=[SourceCount(source=name, documents=counts[name]) for name in sorted(counts)])

    def document_content(
        source: str,
        id: str,
        caller: Identity = reader,
        first: Annotated[int, Query(alias="from", ge=0, le=MAX_ORDINAL, description="ordinal of a passage")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_PASSAGES, description="passages")] = PAGE_PASSAGES,
    ) -> ContentResponse:
        scope = _scope(caller)
        key = _key(scope, source, id, "path.id")
        with _translated():
            generation()
            found = content(store, scope, key, first, limit)
        if found is None:
            raise Problem(404, "no such document is searchable")
        return ContentResponse.of(found)

    routes.add_api_route(  # before the status, whose path takes ids of any end
        "/v1/sources/{source}/documents/{id:path}/content",
        document_content,
        summary="The text of a document",
        responses=responses(404, 422),
        route_class_override=ContentRoute,
    )

    @routes.get(
        "/v1/sources/{source}/documents/{id:path}",
        summary="What became of a document",
        responses=responses(404, 422),
    )
    async def document(
        source: str,
        id: str,
        caller: Identity = reader,
        version: Annotated[int | None, Query(ge=0, le=MAX_VERSION)] = None,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="seconds")] = 0,
    ) -> DocumentStatus:
        scope = _scope(caller)
        key = _key(scope, source, id, "path.id")
        with _translated():
            head = (await watch.heads({key: version}, wait, lambda heads: _admitted(heads, scope))).get(key)
        if head is None and version is None:
            raise Problem(404, "no such document, or it has not arrived yet: ask for the receipt's version, or wait")
        return DocumentStatus.of(source, id, status(head, version))

    @routes.post(
        "/v1/sources/{source}/documents:status",
        summary="What became of many documents",
        responses=responses(400, 415, 422),
    )
    async def documents(source: str, request: StatusRequest, caller: Identity = reader) -> StatusResponse:
        scope = _scope(caller)
        wanted = {
            _key(scope, source, each.id, f"body.documents.{i}.id"): each.version
            for i, each in enumerate(request.documents)
        }
        with _translated():
            heads = await watch.heads(wanted, request.wait, lambda heads: _admitted(heads, scope))
        answers = [DocumentStatus.of(source, key.id, status(heads.get(key), wanted[key])) for key in wanted]
        return StatusResponse(documents=answers)

    return routes


def _scope(caller: Identity) -> Scope:
    return Scope(caller.tenant, caller.groups)


def _key(scope: Scope, source: str, id: str, field: str, source_field: str = "path.source") -> Key:
    try:
        return Key.checked(scope.tenant, source, id)
    except InvalidKey as error:
        field = source_field if str(error).startswith("source") else field
        raise Problem(422, "the request does not fit the schema", errors=[(field, str(error))]) from error


def _admitted(heads: Mapping[Key, Head], scope: Scope) -> dict[Key, Head]:
    """Without the documents that the caller may not know of."""
    seen = {key: _seen(head, scope) for key, head in heads.items() if admits(head.groups, scope)}
    return {key: head for key, head in seen.items() if head is not None}


def _seen(head: Head, scope: Scope) -> Head | None:
    """The head without a failure of a version that has other groups; nothing where it held nothing else."""
    if head.failure is None or admits(head.failure.groups, scope):
        return head
    return None if head.state is State.ABSENT else replace(head, failure=None)


def _refuse_unknown_sources(store: Store, scope: Scope, question: Question, field: str = "body.filter") -> None:
    """A misspelt source is an error, not an empty answer."""
    named = set(named_sources(question.where))
    if named and named - set(store.sources(scope, sorted(named))):
        errors = [(field, "names a source that has no documents")]
        raise Problem(422, "the request does not fit the index", errors=errors)


@contextmanager
def _translated(query: str = "body.query") -> Iterator[None]:
    """Errors of the neighbours as problems. `query`: the field that says what to look for."""
    try:
        yield
    except EncoderRejected as error:
        raise Problem(422, "the encoder refuses this query", errors=[(query, str(error))]) from error
    except UnknownExample as error:
        raise Problem(422, "an example cannot be read", errors=[(query, str(error))]) from error
    except NoSuchStage as error:
        told = "this gateway has no cross-encoder: set RERANKER_URL, or ask for the stage late"
        raise Problem(422, told, errors=[("body.rerank.stage", told)]) from error
    except NoWriter as error:
        told = "this gateway has no writer to expand queries: set GATEWAY_WRITER"
        raise Problem(422, told, errors=[("body.expand", told)]) from error
    except StoreRejected as error:
        raise Problem(422, "the index refuses this request") from error
    except EncoderError as error:
        detail = 'the encoder does not answer; a search with "mode": "lexical" needs none'
        raise Problem(503, detail, retry_after=RETRY_SECONDS) from error
    except StoreError as error:
        raise Problem(503, "the index does not answer", retry_after=RETRY_SECONDS) from error


@contextmanager
def _counted(question: Question) -> Iterator[None]:
    """Count the search by outcome, and time it as a whole."""
    outcome = "error"
    try:
        with GATEWAY_SECONDS.labels("total").time():
            yield
        outcome = "ok"
    except (Problem, EncoderRejected, StoreRejected):
        outcome = "refused"
        raise
    finally:
        GATEWAY_SEARCHES.labels(question.mode, outcome).inc()
