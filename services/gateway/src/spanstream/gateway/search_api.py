"""The routes that search: one question, several, more like a document, and why a document is not among the hits."""

from __future__ import annotations

import time
from asyncio import gather
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial

from fastapi import APIRouter, Depends, Response

from spanstream.gateway import after, batches, cursors
from spanstream.gateway.admission import Admission
from spanstream.gateway.deadline import STEPS, Deadline
from spanstream.gateway.explaining import explain
from spanstream.gateway.filters import named_sources
from spanstream.gateway.live import View
from spanstream.gateway.miss import Misses
from spanstream.gateway.miss_view import MissRequest, MissResponse
from spanstream.gateway.models import (
    BatchRequest,
    BatchResponse,
    SearchOptions,
    SearchRequest,
    SearchResponse,
    SimilarRequest,
)
from spanstream.gateway.options import Facet
from spanstream.gateway.problems import SUBJECT, admitted, scope_of, translated
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.status import Watch
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import guarded
from spanstream.runtime.metrics import GATEWAY_EMPTY, GATEWAY_SEARCHES, GATEWAY_SECONDS, GATEWAY_UNFINISHED, from_zero
from spanstream.runtime.names import key_of
from spanstream.runtime.problems import Problem, responses
from spanstream.store.errors import StoreUnavailable, TooLarge
from spanstream.store.generation import Generation
from spanstream.store.queries import Scope
from spanstream.store.store import Store


def search_router(
    view: Callable[[], View],
    watch: Watch,
    authenticator: Authenticator,
    admission: Admission,
) -> APIRouter:
    """The routes. Each request takes its view once. Each search runs whole in one of `admission`'s threads, its writing as JSON too: the event loop has others to serve."""
    routes = guarded(400, 413, 415)
    reader = Depends(authenticator.requires("read", narrows=True))
    from_zero(GATEWAY_SEARCHES, Mode, ["ok", "refused", "error"])
    from_zero(GATEWAY_UNFINISHED, STEPS)
    from_zero(GATEWAY_SECONDS, ["total"])

    @routes.post("/v1/search", summary="Search", response_model=SearchResponse)
    async def search(request: SearchRequest, caller: Identity = reader) -> Response:
        return await waited(request, scope_of(caller), "body.query")

    @routes.post(
        "/v1/similar",
        summary="Search for more like a document, or a part of one",
        response_model=SearchResponse,
        responses=responses(404),
    )
    async def similar(request: SimilarRequest, caller: Identity = reader) -> Response:
        return await waited(request, scope_of(caller), SUBJECT)

    async def waited(request: SearchOptions, scope: Scope, field: str) -> Response:
        """`field`: where the request says what to look for."""
        deadline = begun(request, await arrived(request, scope))
        return await admission.run(scope.tenant, lambda: _json(answered(request, scope, deadline, field, view)))

    async def arrived(request: SearchOptions, scope: Scope) -> bool:
        """Whether the receipts that it names have."""
        with translated():
            seen = partial(admitted, scope=scope)
            return await after.settled(watch, scope, seen, request.after, request.after_wait)

    def begun(request: SearchOptions, arrived: bool) -> Deadline:
        """The search's time, from now on."""
        deadline = Deadline(request.deadline_ms)
        if not arrived:
            deadline.leave_out(after.STEP)
        return deadline

    def answered(
        request: SearchOptions, scope: Scope, deadline: Deadline, field: str, taken: Callable[[], View]
    ) -> SearchResponse:
        began = time.monotonic()
        question = request.question()
        with _counted(question), translated(field):
            pinned = taken()
            index, store = pinned.generation, pinned.store
            shown = _shown(request, index)
            _refuse_unknown_sources(store, scope, question)
            answer = pinned.searcher.search(scope, replace(question, shown=shown), index.dimension, deadline)
            explanations = explain(store, scope, answer)
            facets = _facets(store, scope, request, question) if request.facets and deadline.allows("facets") else []
            answer = replace(answer, unfinished=tuple(deadline.unfinished))
        for step in answer.unfinished:
            GATEWAY_UNFINISHED.labels(step).inc()
        GATEWAY_EMPTY.inc(not answer.hits)
        more = [*shown, *(hit.mark for hit in answer.hits)]
        cursor = cursors.write(request.same(), index.name, more) if answer.more else None
        took = round((time.monotonic() - began) * 1000, 2)
        return SearchResponse.of(answer, explanations, facets, cursor, took)

    @routes.post("/v1/search:batch", summary="Several searches at once", response_model=BatchResponse)
    async def batch(request: BatchRequest, caller: Identity = reader) -> Response:
        scope = scope_of(caller)
        read = [batches.read(each) for each in request.requests]
        right = [each for each in read if isinstance(each, SearchRequest)]
        here = dict(zip(map(id, right), await gather(*(arrived(each, scope) for each in right)), strict=True))
        shortest = Deadline(min((each.deadline_ms for each in right if each.deadline_ms), default=None))

        def told() -> Response:
            pinned = cache(view)

            def one(request: SearchRequest) -> SearchResponse:
                return answered(request, scope, begun(request, here[id(request)]), "body.query", pinned)

            with suppress(StoreUnavailable):  # each search says so itself
                pinned().searcher.prepare(scope, batches.texts(right), shortest)
            return _json(BatchResponse(answers=[batches.answer(each, one) for each in read]))

        return await admission.run(scope.tenant, told, len(read))

    @routes.post(
        "/v1/explain-miss",
        summary="Why a document is not among the hits of a search",
        response_model=MissResponse,
    )
    async def explain_miss(request: MissRequest, caller: Identity = reader) -> Response:
        scope, question, missed = scope_of(caller), request.query.question(), request.document
        key = key_of(scope.tenant, missed.source, missed.id, "body.document.id", "body.document.source")

        def told() -> Response:
            with translated("body.query.query"):
                pinned = view()
                store, dimension = pinned.store, pinned.generation.dimension
                misses = Misses(store, pinned.searcher)
                _refuse_unknown_sources(store, scope, question, "body.query.filter")
                head = admitted(store.heads([key]), scope).get(key)
                return _json(MissResponse.of(request, misses.explain(scope, question, dimension, head, missed.version)))

        return await admission.run(scope.tenant, told)

    return routes


def _json(model: SearchResponse | BatchResponse | MissResponse) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


def _shown(request: SearchOptions, index: Generation) -> frozenset[bytes]:
    """Marks of the hits of earlier pages."""
    if request.cursor is None:
        return frozenset()
    try:
        return cursors.read(request.cursor, request.same(), index.name)
    except cursors.InvalidCursor as error:
        raise Problem(422, "the cursor cannot be used", errors=[("body.cursor", str(error))]) from error


def _facets(store: Store, scope: Scope, request: SearchOptions, question: Question) -> list[Facet]:
    """Counts over all that the filter keeps."""
    try:
        found = store.facets(scope, {facet.field: facet.limit for facet in request.facets}, question.where)
    except TooLarge as error:
        raise Problem(422, "there is too much to count", errors=[("body.facets", str(error))]) from error
    return [Facet.of(field, tally) for field, tally in found.items()]


def _refuse_unknown_sources(store: Store, scope: Scope, question: Question, field: str = "body.filter") -> None:
    """A misspelt source is an error, not an empty answer."""
    named = set(named_sources(question.where))
    if named and named - set(store.sources(scope, sorted(named))):
        errors = [(field, "names a source that has no documents")]
        raise Problem(422, "the request does not fit the index", errors=errors)


@contextmanager
def _counted(question: Question) -> Iterator[None]:
    """Count the search by outcome, and time it as a whole."""
    outcome = "error"
    try:
        with GATEWAY_SECONDS.labels("total").time():
            yield
        outcome = "ok"
    except Problem as problem:
        outcome = "refused" if problem.status < 500 else "error"
        raise
    finally:
        GATEWAY_SEARCHES.labels(question.mode, outcome).inc()
