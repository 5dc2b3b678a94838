from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from spanstream.embedder.ingress import middlewares


def asked(app: ASGIApp, path: str = "/minilm/v1/encode") -> httpx.Response:
    """What a client gets from `app` behind the middlewares."""
    for middleware in middlewares():
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("status", "after"), [(404, None), (408, None), (429, "1"), (500, None), (503, "1"), (418, None)]
)
def test_plain_words_of_the_proxy_become_a_problem(status: int, after: str | None) -> None:
    answer = asked(PlainTextResponse("Path '/secret' not found", status))
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == after
    assert "secret" not in answer.text


def test_a_request_whose_replica_has_gone_is_answered_502() -> None:
    async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...

    answer = asked(nothing)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")


@pytest.mark.parametrize(
    "given",
    [
        Response(b"\0\1", media_type="application/x-spanstream-encode"),
        PlainTextResponse("fine"),
        JSONResponse({"detail": "ours"}, 400, media_type="application/problem+json"),
    ],
)
def test_answers_of_the_application_pass_as_they_are(given: Response) -> None:
    answer = asked(given)
    assert (answer.status_code, answer.content) == (given.status_code, given.body)


def test_the_proxys_own_pages_stay_as_they_are() -> None:
    assert asked(PlainTextResponse("not healthy", 503), "/-/healthz").text == "not healthy"
