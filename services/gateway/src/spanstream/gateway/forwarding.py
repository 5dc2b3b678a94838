"""What the page asks of the ingest API, handed on where that has another address: a browser then needs only this one."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Depends, Path, Request, Response

from spanstream.events.ids import FINGERPRINT_PATTERN
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.forwarding import handed_on
from spanstream.runtime.guard import GuardedRoute
from spanstream.runtime.names import SourceName, key_of
from spanstream.runtime.problems import responses

_INGEST = "the ingest API"
_DESCRIBED = "Handed on to the ingest API, which describes it."
Fingerprint = Annotated[str, Path(pattern=f"^{FINGERPRINT_PATTERN}$")]


def router(client: httpx.AsyncClient, authenticator: Authenticator) -> APIRouter:
    """The routes; `client` knows the ingest API's address. Bodies are handed on as they come, never held."""
    routes = APIRouter(route_class=GuardedRoute, tags=["ingest"], responses=responses(401, 403, 422, 429, 503))
    # Of the failures the ingest API keeps to the caller's sources.
    reader = Annotated[Identity, Depends(authenticator.requires("read", narrows=True))]
    writer = Annotated[Identity, Depends(authenticator.requires("write", narrows=True))]

    @routes.post(
        "/v1/sources/{source}/files",
        summary="Insert or replace a document from a file",
        description=_DESCRIBED,
        responses=responses(400, 413, 415),
    )
    async def file(request: Request, source: SourceName, caller: writer) -> Response:
        key_of(caller.tenant, source, "x")  # '..' would lead to another path
        return await handed_on(client, request, f"/v1/sources/{source}/files", _INGEST)

    @routes.get("/v1/failures", summary="What failed, by cause", description=_DESCRIBED)
    async def failures(request: Request, _caller: reader) -> Response:
        return await handed_on(client, request, "/v1/failures", _INGEST)

    @routes.get(
        "/v1/failures/{fingerprint}",
        summary="The records of one cause",
        description=_DESCRIBED,
        responses=responses(404),
    )
    async def records(request: Request, fingerprint: Fingerprint, _caller: reader) -> Response:
        return await handed_on(client, request, f"/v1/failures/{fingerprint}", _INGEST)

    @routes.post(
        "/v1/failures/{fingerprint}:{verb}",
        summary="Send records that failed again, or let them be",
        description=_DESCRIBED,
        responses=responses(400, 404, 415),
    )
    async def resolve(
        request: Request, fingerprint: Fingerprint, verb: Literal["replay", "discard"], _caller: writer
    ) -> Response:
        return await handed_on(client, request, f"/v1/failures/{fingerprint}:{verb}", _INGEST)

    return routes
