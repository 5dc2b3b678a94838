"""The search API: search, sources and document status over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.gateway import batches, cursors
from spanstream.gateway.asking import UnknownExample
from spanstream.gateway.filters import named_sources
from spanstream.gateway.models import (
    MAX_WAIT_SECONDS,
    BatchRequest,
    BatchResponse,
    DocumentStatus,
    SearchRequest,
    SearchResponse,
    SourceCount,
    SourcesResponse,
    StatusRequest,
    StatusResponse,
)
from spanstream.gateway.options import Facet
from spanstream.gateway.search import Question, Searcher
from spanstream.gateway.status import Watch, status
from spanstream.gateway.visibility import admits
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.metrics import GATEWAY_SEARCHES, GATEWAY_SECONDS
from spanstream.runtime.problems import Problem, responses
from spanstream.store.errors import StoreError, StoreRejected, TooLarge
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
        return answered(request, _scope(caller), searcher)

    def answered(request: SearchRequest, scope: Scope, searcher: Searcher) -> SearchResponse:
        began = time.monotonic()
        question = request.question()
        with _translated(), _counted(question):
            index = generation()
            shown = _shown(request, index)
            _refuse_unknown_sources(store, scope, question)
            answer = searcher.search(scope, replace(question, shown=shown), index.dimension)
            facets = _facets(store, scope, request, question)
        more = [*shown, *(hit.mark for hit in answer.hits)]
        cursor = cursors.write(request.same(), index.name, more) if answer.more else None
        return SearchResponse.of(answer, round((time.monotonic() - began) * 1000, 2), facets, cursor)

    @routes.post("/v1/search:batch", summary="Several searches at once", responses=responses(400, 415, 422))
    def batch(request: BatchRequest, caller: Identity = reader) -> BatchResponse:
        scope = _scope(caller)
        return BatchResponse(answers=batches.answers(request.requests, searcher, partial(answered, scope=scope)))

    @routes.get("/v1/sources", summary="Sources and their live documents")
    def sources(caller: Identity = reader) -> SourcesResponse:
        with _translated():
            generation()
            counts = store.sources(_scope(caller))
        return SourcesResponse(sources=[SourceCount(source=name, documents=counts[name]) for name in sorted(counts)])

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


def _key(scope: Scope, source: str, id: str, field: str) -> Key:
    try:
        return Key.checked(scope.tenant, source, id)
    except InvalidKey as error:
        field = "path.source" if str(error).startswith("source") else field
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


def _shown(request: SearchRequest, index: Generation) -> frozenset[bytes]:
    """Marks of the hits of earlier pages."""
    if request.cursor is None:
        return frozenset()
    try:
        return cursors.read(request.cursor, request.same(), index.name)
    except cursors.InvalidCursor as error:
        raise Problem(422, "the cursor cannot be used", errors=[("body.cursor", str(error))]) from error


def _facets(store: Store, scope: Scope, request: SearchRequest, question: Question) -> list[Facet]:
    """Counts over all that the filter keeps."""
    try:
        found = store.facets(scope, {facet.field: facet.limit for facet in request.facets}, question.where)
    except TooLarge as error:
        raise Problem(422, "there is too much to count", errors=[("body.facets", str(error))]) from error
    return [Facet.of(field, tally) for field, tally in found.items()]


def _refuse_unknown_sources(store: Store, scope: Scope, question: Question) -> None:
    """A misspelt source is an error, not an empty answer."""
    named = set(named_sources(question.where))
    if named and named - set(store.sources(scope, sorted(named))):
        errors = [("body.filter", "names a source that has no documents")]
        raise Problem(422, "the request does not fit the index", errors=errors)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the neighbours as problems."""
    try:
        yield
    except EncoderRejected as error:
        raise Problem(422, "the encoder refuses this query", errors=[("body.query", str(error))]) from error
    except UnknownExample as error:
        raise Problem(422, "an example cannot be read", errors=[("body.query", str(error))]) from error
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
