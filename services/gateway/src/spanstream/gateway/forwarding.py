"""Files that the page sends, handed on to the ingest API where that has another address: a browser then needs only this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Depends, Request, Response

from spanstream.runtime.auth import Authenticator
from spanstream.runtime.problems import Problem, responses

RETRY_SECONDS = 1
SECONDS = 90.0  # without a byte either way
_HANDED_ON = ("authorization", "content-type", "content-length", "traceparent")


def router(client: httpx.AsyncClient, authenticator: Authenticator) -> APIRouter:
    """The routes; `client` knows the ingest API's address. Bodies are handed on as they come, never held."""
    routes = APIRouter(tags=["ingest"], responses=responses(401, 403, 422, 503))
    writer = Depends(authenticator.requires("write"))

    @routes.post(
        "/v1/sources/{source}/files",
        summary="Insert or replace a document from a file",
        description="Handed on to the ingest API, which describes it.",
        responses=responses(400, 413, 415),
        dependencies=[writer],
    )
    async def file(request: Request, source: str) -> Response:
        headers = {name: request.headers[name] for name in _HANDED_ON if name in request.headers}
        url = httpx.URL(f"/v1/sources/{quote(source, safe='')}/files", query=request.url.query.encode() or None)
        try:
            answer = await client.post(url, content=_body(request), headers=headers, timeout=SECONDS)
        except httpx.HTTPError as error:
            raise Problem(503, "the ingest API does not answer", retry_after=RETRY_SECONDS) from error
        kept = {name: answer.headers[name] for name in ("retry-after", "www-authenticate") if name in answer.headers}
        return Response(answer.content, answer.status_code, kept, answer.headers.get("content-type"))

    return routes


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
