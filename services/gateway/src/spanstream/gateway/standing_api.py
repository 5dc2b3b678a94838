"""The routes of standing queries. A query belongs to the scope of the key that saved it: the tenant with its groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from spanstream.gateway.problems import scope_of, translated
from spanstream.gateway.standing import Computing
from spanstream.gateway.standing_models import ID, StandingQueries, StandingQueryAnswer, StandingQueryBody
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import guarded
from spanstream.runtime.problems import Problem, responses
from spanstream.store.generation import Generation
from spanstream.store.standing import StandingQuery
from spanstream.store.store import Store

QueryId = Annotated[str, Path(pattern=ID, description="the caller's name for it")]


def router(
    store: Store,
    computing: Computing,
    generation: Callable[[], Generation],
    authenticator: Authenticator,
    *,
    most: int,
    now_us: Callable[[], int],
) -> APIRouter:
    """The routes. A tenant has at most `most` queries; `now_us`: microseconds since 1970."""
    routes = guarded(prefix="/v1/standing-queries")
    reader, writer = Depends(authenticator.requires("read")), Depends(authenticator.requires("write"))

    @routes.get("", summary="Standing queries")
    def listed(caller: Identity = reader) -> StandingQueries:
        with translated():
            name = generation().name
            found = store.standing().of(scope_of(caller))
        return StandingQueries(queries=[StandingQueryAnswer.of(query, name) for query in found])

    @routes.get("/{id}", summary="A standing query", responses=responses(404))
    def get(id: QueryId, caller: Identity = reader) -> StandingQueryAnswer:
        with translated():
            name = generation().name
            found = store.standing().get(scope_of(caller), id)
        if found is None:
            raise Problem(404, "no such standing query")
        return StandingQueryAnswer.of(found, name)

    @routes.put(
        "/{id}",
        summary="Save a standing query",
        description="It is matched with every document that becomes searchable from then on (about a second later), and "
        "its matches are on the topic `matches.v1` and at `GET /v1/matches` of the ingest API. It matches what the key "
        "that saved it may see. The same again changes nothing.",
        responses=responses(400, 409, 413, 415),
    )
    def put(
        id: QueryId, body: StandingQueryBody, caller: Identity = writer, _reads: Identity = reader
    ) -> StandingQueryAnswer:
        scope, definition = scope_of(caller), body.definition()
        with translated():
            queries, present = store.standing(), generation()
            before = queries.get(scope, id)
            if before is None and queries.count(scope.tenant) >= most:
                raise Problem(409, f"the tenant has {most} standing queries, and may have no more: delete one")
            if before is not None and before.definition == definition:
                answer = StandingQueryAnswer.of(before, present.name)
                if answer.active:
                    return answer
            where = body.filter.condition() if body.filter else None
            if where is not None:
                store.count(scope, where)  # which the store refuses now, not with every document
            query = StandingQuery(
                scope=scope,
                id=id,
                revision=max(now_us(), before.revision + 1 if before else 0),
                threshold=body.threshold,
                definition=definition,
                where=where,
                computed=computing(scope, body.meaning(), present),
            )
            queries.save(query)
            store.flush()
        return StandingQueryAnswer.of(query, present.name)

    @routes.delete(
        "/{id}",
        summary="Delete a standing query",
        status_code=204,
        response_class=Response,
        responses=responses(404),
    )
    def delete(id: QueryId, caller: Identity = writer, _reads: Identity = reader) -> None:
        scope = scope_of(caller)
        with translated():
            generation()
            queries = store.standing()
            if queries.get(scope, id) is None:
                raise Problem(404, "no such standing query")
            queries.delete(scope, id)
            store.flush()

    return routes
