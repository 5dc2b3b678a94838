"""The search API: search, sources and document status over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.gateway import after
from spanstream.gateway.admission import Admission
from spanstream.gateway.asking import UnknownExample
from spanstream.gateway.deadline import Deadline
from spanstream.gateway.filters import named_sources
from spanstream.gateway.models import (
    MAX_WAIT_SECONDS,
    DocumentStatus,
    SearchRequest,
    SearchResponse,
    SourceCount,
    SourcesResponse,
    StatusRequest,
    StatusResponse,
)
from spanstream.gateway.search import Question, Searcher
from spanstream.gateway.status import Watch, status
from spanstream.gateway.visibility import admits
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.metrics import GATEWAY_SEARCHES, GATEWAY_SECONDS, GATEWAY_UNFINISHED
from spanstream.runtime.problems import Problem, responses
from spanstream.store.errors import StoreError, StoreRejected
from spanstream.store.generation import Generation
from spanstream.store.points import Head, State
from spanstream.store.queries import Scope
from spanstream.store.store import Store

RETRY_SECONDS = 1


def router(
    store: Store,
    searcher: Searcher,
    generation: Callable[[], Generation],
    authenticator: Authenticator,
    admission: Admission | None = None,
) -> APIRouter:
    """The routes. `generation()` raises StoreUnavailable until the index is open."""
    admission = admission or Admission()
    routes = APIRouter(responses=responses(401, 403, 503))
    reader = Depends(authenticator.requires("read"))

    def read(keys: Sequence[Key]) -> Mapping[Key, Head]:
        generation()
        return store.heads(keys)

    watch = Watch(read)

    @routes.post("/v1/search", summary="Search", response_model=SearchResponse, responses=responses(400, 415, 422))
    async def search(request: SearchRequest, caller: Identity = reader) -> Response:
        scope = _scope(caller)
        with _translated():
            arrived = await after.settled(
                watch, scope, lambda heads: _admitted(heads, scope), request.after, request.after_wait
            )
        deadline = Deadline(request.deadline_ms)
        if not arrived:
            deadline.leave_out(after.STEP)
        return await admission.run(partial(answered, scope, request.question(), deadline))

    def answered(scope: Scope, question: Question, deadline: Deadline) -> Response:
        """The whole of a search in one thread, its writing as JSON too: the event loop has other callers."""
        began = time.monotonic()
        with _translated(), _counted(question):
            dimension = generation().dimension
            _refuse_unknown_sources(store, scope, question)
            answer = searcher.search(scope, question, dimension, deadline)
        for step in answer.unfinished:
            GATEWAY_UNFINISHED.labels(step).inc()
        took = round((time.monotonic() - began) * 1000, 2)
        return Response(SearchResponse.of(answer, took).model_dump_json(), media_type="application/json")

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
