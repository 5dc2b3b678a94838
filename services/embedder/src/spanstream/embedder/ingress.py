"""What Ray Serve's HTTP proxy says itself, in our words: problem documents, with Retry-After where it is for want of room.

Serve answers in plain text where no application does: no such route, no replica, too many requests, too slow. Of a request
whose replica has gone it answers nothing at all. Its proxies call `middlewares` where the environment variable
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names it; `deployment` sets that on one machine, a cluster's pods need it set.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanstream.embedder.admission import RETRY_AFTER
from spanstream.runtime import problems
from spanstream.runtime.problems import Problem

IMPORT_PATH = f"{__name__}.middlewares"
_OWN = "/-/"  # Serve's own pages: health and routes
_WORDS = {
    404: "no model answers under this path",
    408: "no answer in time",
    429: "too many requests are waiting",
    500: "an unexpected error between the proxy and the model; it has been logged",
    503: "no replica of this model has room now",
}
_GONE = "the replica that had this request has gone; send it again"


def middlewares() -> list[Middleware]:
    """For Serve's proxies."""
    return [Middleware(InOurWords)]


class InOurWords:
    """Puts a problem document in place of an answer in plain text, and of none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pure ASGI: answers of the application pass as they come."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN):
            await self._app(scope, receive, send)
            return
        status: int | None = None
        replaced = False

        async def passed(message: Message) -> None:
            nonlocal status, replaced
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = Headers(raw=message["headers"]).get("content-type", "")
                replaced = message["status"] >= 400 and not kind.startswith(problems.MEDIA_TYPE)
            if not replaced:
                await send(message)

        await self._app(scope, receive, passed)
        if status is None:
            await problems.response(Problem(502, _GONE, retry_after=RETRY_AFTER))(scope, receive, send)
        elif replaced:
            after = RETRY_AFTER if status in (429, 503) else None
            problem = Problem(status, _WORDS.get(status, "the request is refused"), retry_after=after)
            await problems.response(problem)(scope, receive, send)
