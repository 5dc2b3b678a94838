"""Files that the page sends, handed on to the ingest API where that has another address: a browser then needs only this one."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import Key
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import GuardedRoute
from spanstream.runtime.names import SourceName
from spanstream.runtime.problems import Problem, responses

RETRY_SECONDS = 1
SECONDS = 90.0  # without a byte either way
_HANDED_ON = ("authorization", "content-type", "content-length", "traceparent")


def router(client: httpx.AsyncClient, authenticator: Authenticator) -> APIRouter:
    """The routes; `client` knows the ingest API's address. Bodies are handed on as they come, never held."""
    routes = APIRouter(route_class=GuardedRoute, tags=["ingest"], responses=responses(401, 403, 422, 429, 503))
    writer = Annotated[Identity, Depends(authenticator.requires("write"))]

    @routes.post(
        "/v1/sources/{source}/files",
        summary="Insert or replace a document from a file",
        description="Handed on to the ingest API, which describes it.",
        responses=responses(400, 413, 415),
    )
    async def file(request: Request, source: SourceName, caller: writer) -> Response:
        try:
            Key.checked(caller.tenant, source, "x")  # '..' would lead to another path
        except InvalidKey as error:
            detail = "the request does not fit the schema"
            raise Problem(422, detail, errors=[("path.source", str(error))]) from error
        headers = {name: request.headers[name] for name in _HANDED_ON if name in request.headers}
        url = httpx.URL(f"/v1/sources/{source}/files", query=request.url.query.encode() or None)
        try:
            answer = await client.post(url, content=_body(request), headers=headers, timeout=SECONDS)
        except ClientDisconnect as error:  # nobody reads the answer, but it is no failure of ours
            raise Problem(400, "the body ended early") from error
        except httpx.HTTPError as error:
            raise Problem(503, "the ingest API does not answer", retry_after=RETRY_SECONDS) from error
        kept = {name: answer.headers[name] for name in ("retry-after", "www-authenticate") if name in answer.headers}
        return Response(answer.content, answer.status_code, kept, answer.headers.get("content-type"))

    return routes


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
