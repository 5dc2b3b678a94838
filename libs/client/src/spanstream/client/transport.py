"""Between effects and httpx; all that the two clients have in common."""

from __future__ import annotations

from typing import Any

import httpx

from spanstream.client.config import Connection
from spanstream.client.effects import Request, Response
from spanstream.client.errors import Broken, SpanstreamError, Unreachable


def headers(connection: Connection) -> dict[str, str]:
    """What every request carries."""
    key = {"authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
    return {"user-agent": "spanstream-client/0.1.0"} | key


def arguments(connection: Connection, request: Request) -> dict[str, Any]:
    """The arguments of httpx's `request`."""
    base = connection.ingest_url if request.ingest else connection.url
    timeout = {} if request.timeout is None else {"timeout": request.timeout}
    return {
        "method": request.method,
        "url": base + request.path,
        "params": dict(request.params),
        "headers": dict(request.headers),
        "content": request.content,
    } | timeout


def response(answer: httpx.Response) -> Response:
    """Our value for httpx's."""
    return Response(answer.status_code, dict(answer.headers), answer.content)


def failure(error: httpx.HTTPError, connection: Connection, request: Request) -> SpanstreamError:
    """Our error for httpx's: Unreachable if nothing was sent, else Broken."""
    base = connection.ingest_url if request.ingest else connection.url
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)):
        return Unreachable(f"no server answers at {base}")
    return Broken(f"the connection to {base} broke: {type(error).__name__}")
