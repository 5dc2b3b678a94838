"""What the page asks of the ingest API, handed on where that has another address: a browser then needs only this one."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.requests import ClientDisconnect

from spanstream.events.ids import FINGERPRINT_PATTERN
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import GuardedRoute
from spanstream.runtime.names import SourceName, key_of
from spanstream.runtime.problems import Problem, responses

RETRY_SECONDS = 1
SECONDS = 90.0  # without a byte either way
_HEADERS = ("authorization", "content-type", "content-length", "traceparent")
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
        return await _handed_on(client, request, f"/v1/sources/{source}/files")

    @routes.get("/v1/failures", summary="What failed, by cause", description=_DESCRIBED)
    async def failures(request: Request, _caller: reader) -> Response:
        return await _handed_on(client, request, "/v1/failures")

    @routes.get(
        "/v1/failures/{fingerprint}",
        summary="The records of one cause",
        description=_DESCRIBED,
        responses=responses(404),
    )
    async def records(request: Request, fingerprint: Fingerprint, _caller: reader) -> Response:
        return await _handed_on(client, request, f"/v1/failures/{fingerprint}")

    @routes.post(
        "/v1/failures/{fingerprint}:{verb}",
        summary="Send records that failed again, or let them be",
        description=_DESCRIBED,
        responses=responses(400, 404, 415),
    )
    async def resolve(
        request: Request, fingerprint: Fingerprint, verb: Literal["replay", "discard"], _caller: writer
    ) -> Response:
        return await _handed_on(client, request, f"/v1/failures/{fingerprint}:{verb}")

    return routes


async def _handed_on(client: httpx.AsyncClient, request: Request, path: str) -> Response:
    """The ingest API's answer to the same request by the same caller. `path` is made of checked parts alone."""
    headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
    url = httpx.URL(path, query=request.url.query.encode() or None)
    body = None if request.method == "GET" else _body(request)
    try:
        answer = await client.request(request.method, url, content=body, headers=headers, timeout=SECONDS)
    except ClientDisconnect as error:  # nobody reads the answer, but it is no failure of ours
        raise Problem(400, "the body ended early") from error
    except httpx.HTTPError as error:
        raise Problem(503, "the ingest API does not answer", retry_after=RETRY_SECONDS) from error
    kept = {name: answer.headers[name] for name in ("retry-after", "www-authenticate") if name in answer.headers}
    return Response(answer.content, answer.status_code, kept, answer.headers.get("content-type"))


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
