"""A request handed on to another service, and that one's answer handed back: the same caller, who is checked there once more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from spanstream.runtime.problems import Problem

RETRY_SECONDS = 1
SECONDS = 90.0  # without a byte either way; above the longest wait that a service allows
_CALLER = ("authorization", "traceparent")
_BODY = ("content-type", "content-length")
_ANSWER = ("retry-after", "www-authenticate")


async def handed_on(client: httpx.AsyncClient, request: Request, path: str, service: str) -> Response:
    """The answer of the service at the client's address to the same request. `path` is made of checked or encoded parts
    alone. The body is handed on as it comes, never held; that of a GET is not. Raises Problem 400, or 503 naming `service`.
    """
    bodiless = request.method == "GET"
    names = _CALLER if bodiless else _CALLER + _BODY
    headers = {name: request.headers[name] for name in names if name in request.headers}
    url = httpx.URL(path, query=request.url.query.encode() or None)
    body = None if bodiless else _body(request)
    try:
        answer = await client.request(request.method, url, content=body, headers=headers, timeout=SECONDS)
    except ClientDisconnect as error:  # nobody reads the answer, but it is no failure of ours
        raise Problem(400, "the body ended early") from error
    except httpx.HTTPError as error:
        raise Problem(503, f"{service} does not answer", retry_after=RETRY_SECONDS) from error
    kept = {name: answer.headers[name] for name in _ANSWER if name in answer.headers}
    return Response(answer.content, answer.status_code, kept, answer.headers.get("content-type"))


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
