"""The encoder application: POST /v1/encode (binary bodies, see `spanstream.encoder.wire`), GET /v1/info and /v1/health,
and POST /rerank where there is a cross-encoder.

Run it with `python -m spanstream.embedder.application`; `deployment` serves the same routes from several replicas. Only
these two modules bring torch into a process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect

from spanstream.embedder.admission import RETRY_AFTER, Admission, Place
from spanstream.embedder.problems import translated
from spanstream.embedder.reranking import open_reranker, rerank_router
from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoder, Text, check
from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.representations.cache import WindowCache
from spanstream.representations.errors import RepresentationError
from spanstream.representations.local import Batch, open_local
from spanstream.runtime import metrics
from spanstream.runtime.alone import run_alone
from spanstream.runtime.http import HttpServer
from spanstream.runtime.problems import Problem
from spanstream.runtime.service import Report

Metric = Counter | Histogram
_BODY_SECONDS = 30.0  # for a body to arrive: who sends it slower holds a place that others wait for
_PROBE = Text("It answers.", np.array([[0, 2]], np.int32))


Write = Callable[[Metric, str, float], None]


def count(metric: Metric, release: str, value: float) -> None:
    """Into this process's metrics."""
    child = metric.labels(release)
    if isinstance(child, Counter):
        child.inc(value)
    else:
        child.observe(value)


def open_measured(settings: EncoderSettings, *, write: Write = count) -> Encoder:
    """An encoder in this process whose batches are measured: `write(metric, release, value)`.

    Raises a RepresentationError.
    """

    def release() -> str:
        return encoder.info().release

    def observe(batch: Batch) -> None:
        for metric, value in _measures(batch):
            write(metric, release(), value)

    def looked_up(hits: int, misses: int) -> None:
        write(metrics.ENCODER_CACHE_HITS, release(), hits)
        write(metrics.ENCODER_CACHE_MISSES, release(), misses)

    cache = None
    if settings.cache_folder is not None and settings.cache_bytes:
        cache = WindowCache(settings.cache_folder, settings.cache_bytes, looked_up, settings.cache_days * 86_400)
    encoder = open_local(
        settings.model,
        dtype=settings.dtype,
        device=settings.device,
        threads=settings.threads,
        observe=observe,
        cache=cache,
    )
    return encoder


def _measures(batch: Batch) -> Iterator[tuple[Metric, float]]:
    yield metrics.ENCODER_TOKENS, batch.tokens
    yield metrics.ENCODER_PADDED, batch.padded
    yield metrics.ENCODER_SECONDS, batch.seconds
    yield metrics.ENCODER_FILL, batch.padded / batch.budget
    for seconds in batch.queued:
        yield metrics.ENCODER_QUEUE_SECONDS, seconds


def probe(encoder: Encoder) -> None:
    """Run the model on a text, before what waits; raises an EncoderError if that does not give right vectors."""
    check([_PROBE], encoder.encode([_PROBE], query=True), encoder.info().dimension)


def router(encoder: Encoder, admission: Admission, settings: EncoderSettings) -> APIRouter:
    """The routes over `encoder`, within `admission` and what `settings` allow one request."""
    routes = APIRouter(prefix="/v1")
    threads = anyio.CapacityLimiter(admission.requests)  # the framework's own pool is smaller than what may be admitted

    @routes.get("/info")
    def info() -> dict[str, Any]:
        return asdict(encoder.info())

    @routes.get("/health")
    def health() -> dict[str, str]:
        try:
            probe(encoder)
        except EncoderError as error:
            raise Problem(503, f"the model does not answer rightly: {error}", retry_after=RETRY_AFTER) from error
        return {"status": "ok"}

    @routes.post("/encode", response_class=Response)
    async def encode(request: Request, query: bool = False, vectors: wire.VectorType = "float32") -> Response:
        if request.headers.get("content-type") != wire.MEDIA_TYPE:
            raise Problem(415, f"the body must be {wire.MEDIA_TYPE}")
        with admission.request(query=query) as place:
            body = await _body(request, settings.max_body_bytes, place)
            place.answer(_answer_bytes(body, encoder.info().dimension, settings.max_answer_bytes))
            answer = await anyio.to_thread.run_sync(_answer, encoder, body, query, vectors, limiter=threads)
        return Response(answer, headers={wire.RELEASE: quote(encoder.info().release)}, media_type=wire.MEDIA_TYPE)

    return routes


async def _body(request: Request, limit: int, place: Place) -> bytes:
    """The body, read no further than `limit` bytes and than there is room."""
    parts, size = [], 0
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise Problem(413, f"a request may have at most {limit} bytes")
                place.ask(len(part))
                parts.append(part)
    except TimeoutError as error:
        raise Problem(408, f"the body did not arrive within {_BODY_SECONDS:g} seconds") from error
    except ClientDisconnect as error:  # nobody reads the answer, but it is no failure of ours
        raise Problem(400, "the body ended early") from error
    return b"".join(parts)


def _answer_bytes(body: bytes, dimension: int, limit: int) -> int:
    """Of the vectors that answer `body`, in float32."""
    try:
        size = wire.vectors_asked(body) * dimension * 4
    except EncoderRejected as error:
        raise Problem(400, str(error)) from error
    if size > limit:
        raise Problem(413, f"the vectors of an answer may have at most {limit} bytes in float32, these {size}")
    return size


def _answer(encoder: Encoder, body: bytes, query: bool, vectors: wire.VectorType) -> bytes:
    with translated():
        texts = wire.unpack_request(body)
        results = encoder.encode(texts, query=query)
        dimension = encoder.info().dimension
        check(texts, results, dimension)
    return wire.pack_response(results, dimension, vectors)


class EncoderApplication:
    """A service: the model and the server in front of it."""

    def __init__(self, settings: EncoderSettings, encoder: Encoder | None = None) -> None:
        """Bind the address, then load the model, unless it is given; raises PortInUse, ModelNotFound or ModelUnsupported."""
        self.name = "encoder"
        self._server = HttpServer(
            "encoder", settings.host, settings.port, title="Spanstream encoder", variable="ENCODER_PORT"
        )
        self.url = self._server.url
        self._encoder = encoder or open_measured(settings)
        self._reranker = open_reranker(settings)
        admission = Admission(settings.max_requests, settings.query_requests, settings.max_bytes)
        self._server.include(router(self._encoder, admission, settings))
        if self._reranker is not None:
            self._server.include(rerank_router(self._reranker, admission, settings))

    def start(self, report: Report) -> None:
        """Serve."""
        self._server.start(report)

    def live(self) -> bool:
        """Whether the server lives."""
        return self._server.live()

    def unready(self) -> list[str]:
        """Why it would not answer."""
        return [*self._server.unready(), *self._encoder.unready()]

    def stop(self, deadline: float) -> None:
        """Finish running requests, then end the model."""
        self._server.stop(deadline)
        self._encoder.close()
        if self._reranker is not None:
            self._reranker.close()


if __name__ == "__main__":
    sys.exit(run_alone(EncoderSettings, EncoderApplication, RepresentationError))
