"""One request to an application in this process, without a server and without a thread of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """All of it, as a caller may read it."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers.items()), self.body.decode()])

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


async def call(
    app: ASGIApp, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, until: bytes | None = None
) -> Answer:
    """The answer to the end or, of a stream, until it holds `until`; then the caller goes away."""
    path, _, query = target.partition("?")
    sent = {"content-length": str(len(body)), "content-type": "application/json"} | dict(headers)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
        "server": ("here", 80),
        "client": ("127.0.0.1", 1),
    }
    gone = asyncio.Event()
    requests = [{"type": "http.request", "body": body, "more_body": False}]
    status, got, told = 0, bytearray(), {}

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, told
        if message["type"] == "http.response.start":
            status = message["status"]
            told = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            got.extend(message.get("body", b""))
            if until is not None and until in got:
                gone.set()

    try:
        await app(scope, receive, send)
    except Exception:
        if not status:
            raise
    return Answer(status, told, bytes(got))
