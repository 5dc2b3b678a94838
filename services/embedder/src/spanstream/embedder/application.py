"""The encoder application: POST /v1/encode (binary bodies, see `spanstream.encoder.wire`) and GET /v1/info.

Run it with `python -m spanstream.embedder.application`. Only this module brings torch into a process.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoder, check
from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.representations.errors import RepresentationError
from spanstream.representations.local import LocalEncoder, open_local
from spanstream.runtime import metrics
from spanstream.runtime.alone import run_alone
from spanstream.runtime.http import HttpServer
from spanstream.runtime.problems import Problem
from spanstream.runtime.service import Report


def open_measured(
    model: str = "minilm", *, dtype: str = "auto", device: str = "cpu", threads: int | None = None
) -> LocalEncoder:
    """An encoder in this process that counts in this process's metrics."""

    def observe(tokens: int, padded: int, seconds: float) -> None:
        metrics.ENCODER_TOKENS.inc(tokens)
        metrics.ENCODER_SECONDS.inc(seconds)
        metrics.ENCODER_FILL.observe(tokens / padded)

    return open_local(model, dtype=dtype, device=device, threads=threads, observe=observe)


def router(encoder: Encoder, *, max_requests: int = 16, max_body_bytes: int = 32 << 20) -> APIRouter:
    """The routes over `encoder`."""
    routes = APIRouter(prefix="/v1")
    slots = threading.BoundedSemaphore(max_requests)

    @routes.get("/info")
    def info() -> dict[str, Any]:
        return asdict(encoder.info())

    @routes.post("/encode", response_class=Response)
    async def encode(request: Request) -> Response:
        if request.headers.get("content-type") != wire.MEDIA_TYPE:
            raise Problem(415, f"the body must be {wire.MEDIA_TYPE}")
        if not slots.acquire(blocking=False):
            raise Problem(503, f"{max_requests} requests are already being answered", retry_after=1)
        try:
            body = await _body(request, max_body_bytes)
            return Response(await run_in_threadpool(_answer, encoder, body), media_type=wire.MEDIA_TYPE)
        finally:
            slots.release()

    return routes


async def _body(request: Request, limit: int) -> bytes:
    """The body, read no further than `limit` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem(413, f"a request may have at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _answer(encoder: Encoder, body: bytes) -> bytes:
    try:
        texts = wire.unpack_request(body)
        results = encoder.encode(texts)
        dimension = encoder.info().dimension
        check(texts, results, dimension)
    except EncoderRejected as error:
        raise Problem(400, str(error)) from error
    except InvalidVectors as error:  # this text's doing (overflow, say): the same again would answer the same
        raise Problem(422, str(error)) from error
    except EncoderUnavailable as error:
        raise Problem(503, str(error), retry_after=1) from error
    return wire.pack_response(results, dimension)


class EncoderApplication:
    """A service: the model and the server in front of it."""

    def __init__(self, settings: EncoderSettings, encoder: Encoder | None = None) -> None:
        """Bind the address, then load the model, unless it is given; raises PortInUse, ModelNotFound or ModelUnsupported."""
        self.name = "encoder"
        self._server = HttpServer("encoder", settings.host, settings.port, title="Spanstream encoder")
        self.url = self._server.url
        self._encoder = encoder or open_measured(
            settings.model, dtype=settings.dtype, device=settings.device, threads=settings.threads
        )
        routes = router(self._encoder, max_requests=settings.max_requests, max_body_bytes=settings.max_body_bytes)
        self._server.include(routes)

    def start(self, report: Report) -> None:
        """Serve."""
        self._server.start(report)

    def live(self) -> bool:
        """Whether the server lives."""
        return self._server.live()

    def ready(self) -> bool:
        """Whether it would answer."""
        return self._server.ready() and self._encoder.ready()

    def stop(self, deadline: float) -> None:
        """Finish running requests, then end the model."""
        self._server.stop(deadline)
        self._encoder.close()


if __name__ == "__main__":
    sys.exit(run_alone(EncoderSettings, EncoderApplication, RepresentationError))
