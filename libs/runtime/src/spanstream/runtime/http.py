"""HTTP servers: one FastAPI application per address, served by uvicorn in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from urllib.parse import unquote_to_bytes

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanstream.runtime import problems, tracing
from spanstream.runtime.headers import SecurityHeaders
from spanstream.runtime.problems import Problem
from spanstream.runtime.protocol import PATIENCE_SECONDS, patient
from spanstream.runtime.service import Report

# That an idle connection is kept: longer than clients (httpx: 5 s) and balancers (60 s by habit) keep theirs, or they send on one
# that is being closed, and cannot know whether it was received.
KEEP_ALIVE_SECONDS = 75
_PROBED = frozenset({"/livez", "/readyz", "/metrics"})


class PortInUse(Exception):
    """Something else listens there; the message names the variable that chooses another port, if one does."""

    def __init__(self, host: str, port: int, name: str, variable: str | None, error: OSError) -> None:
        another = f"; {variable} chooses another port" if variable else ""
        super().__init__(f"cannot listen on {host}:{port} for {name}: {error.strerror}{another}")


def application(title: str, version: str = "0.1.0") -> FastAPI:
    """An application without routes, whose errors are problem documents, for a server of ours or anyone's."""
    # Its documentation pages load nothing from elsewhere, which FastAPI's own do.
    # Spans are ours (`_Traced`): FastAPI's own would hold queries of URLs, ids, and the words of exceptions.
    app = FastAPIOffline(title=title, version=version, telemetry=dict.fromkeys(("tracing", "metrics", "logs"), False))
    problems.install(app)
    app.add_middleware(_Guarded)
    app.add_middleware(_Traced)
    app.add_middleware(SecurityHeaders)
    return app


def check_free(name: str, host: str, port: int, variable: str | None = None) -> None:
    """Raise PortInUse if something listens there: for a port that another process is to bind."""
    _bound(name, host, port, variable).close()


def _bound(name: str, host: str, port: int, variable: str | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: else an answer in two
    # writes (head, body) waits for the peer's delayed acknowledgement, 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that only lingers is free
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise PortInUse(host, port, name, variable, error) from error
    return made


class HttpServer:
    """A service that serves the routers it was given. Several services may share one server, hence one address."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        title: str = "Spanstream",
        version: str = "0.1.0",
        patience_seconds: float = PATIENCE_SECONDS,
        variable: str | None = None,
    ) -> None:
        """Bind at once, so that the address is known and a port in use is found before anything starts: raises PortInUse.

        `variable`: of the environment, that the port is from.
        """
        self.name = name
        self.app = application(title, version)
        self._socket = _bound(name, host, port, variable)
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        # h11 by choice: its limits on header and request-line size are strict, and it needs no compiled parts.
        config = uvicorn.Config(
            self.app,
            http=patient(patience_seconds),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing depends on the caller's address
            lifespan="off",
            timeout_graceful_shutdown=5,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def include(self, router: APIRouter, *, max_body_bytes: int | None = None) -> None:
        """Serve these routes too. `max_body_bytes` of a request, beyond which it is answered 413; None: they see to it."""
        self.app.include_router(router, max_body_size=max_body_bytes)

    def start(self, report: Report) -> None:
        """Serve; returns once connections are accepted. `/` leads to the documentation where no router has it."""
        self.app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)  # the first one counts
        self.app.openapi()  # half a second, kept: the first query of a URL is held against it while others are served

        def serve() -> None:
            try:
                self._server.run(sockets=[self._socket])
            except BaseException as error:
                report(error)

        self._thread = threading.Thread(target=serve, name=f"http-{self.name}", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the HTTP server of {self.name} did not start")
            time.sleep(0.005)

    def live(self) -> bool:
        """Whether the serving thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def unready(self) -> list[str]:
        """Why it does not accept connections."""
        return [] if self.live() and self._server.started else [f"the HTTP server of {self.name} does not listen"]

    def stopping(self) -> bool:
        """Whether it has been told to stop: an answer that has no end of its own should end now."""
        return bool(self._server.should_exit)

    def stop(self, deadline: float) -> None:
        """Finish running requests, then close."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                self._server.force_exit = True
        self._socket.close()


class _Around:
    """Something around every request. Pure ASGI, because the framework's middleware class would buffer between two streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        around = self._request if scope["type"] == "http" else self._app
        await around(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


class _Traced(_Around):
    """A span, below the caller's if it sent one. Not of probes and scrapes, which would be most of them."""

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _PROBED:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with tracing.server_span(f"HTTP {scope['method']}", headers) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, noted)


class _Guarded(_Around):
    """What the framework would get wrong around all routes: paths that are not UTF-8, bodies that it refuses for their length
    in words of its own, and requests cut by a stop.
    """

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = replaced = False

        async def noted(message: Message) -> None:
            nonlocal begun, replaced
            begun = True
            if message["type"] == "http.response.start" and _in_its_own_words(message):
                replaced = True
                await problems.response(Problem(413, "the body is too large"))(scope, receive, send)
            elif not replaced:
                await send(message)

        if _framed_twice(scope):
            answer = problems.response(Problem(400, "send either a Content-Length or a Transfer-Encoding"))
            answer.headers["connection"] = "close"
            await answer(scope, receive, send)
            return
        if wrong := _wrong(scope["raw_path"]):
            await problems.response(wrong)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:  # the server stops and waits no longer
            if begun:
                raise
            stopping = Problem(503, "the service is stopping; send it again", retry_after=1)
            await problems.response(stopping)(scope, receive, send)


def _framed_twice(scope: Scope) -> bool:
    """Whether two servers may see different requests in it (RFC 9112, 6.3), so that what follows cannot be trusted."""
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}


def _wrong(path: bytes) -> Problem | None:
    """What is wrong with a path, whatever its route."""
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:  # decoded leniently, different ids would become one
        return Problem(400, "the path is not UTF-8, percent-encoded")
    if "\n" in decoded:  # which the framework takes for another route's
        return Problem(422, "the path must not contain control characters")
    return None


def _in_its_own_words(start: Message) -> bool:
    """Whether this begins an answer that is no problem document, to a body of too many bytes."""
    return start["status"] == 413 and (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
