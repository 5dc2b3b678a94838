"""A server of a few lines for httpx.MockTransport: it answers from a script and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

Answer = httpx.Response | Exception


class Script:
    """Answers each request with the next answer, or with what a function makes of the request."""

    def __init__(self, *answers: Answer | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    async def asynchronously(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    def body(self, number: int) -> Any:
        return json.loads(self.requests[number].content)


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_asynchronously(self, seconds: float) -> None:
        self.sleep(seconds)


def problem(status: int, detail: str = "no", **headers: str) -> httpx.Response:
    body = {"type": "urn:spanstream:problem:x", "status": status, "detail": detail}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def receipt(id: str, version: int = 1, status: str = "accepted", source: str = "docs") -> dict[str, Any]:
    return {"source": source, "id": id, "version": version, "status": status}
