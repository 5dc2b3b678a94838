"""The ingestor put together: the only place where its objects meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import httpx

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.intervals import COMMIT_SECONDS
from spanstream.eventlog.log import Log
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.opening import open_log
from spanstream.eventlog.provisioned import Provisioned, used_by
from spanstream.events.topics import DOCUMENTS, FAILURES, PASSAGES
from spanstream.ingestor.acceptance import Acceptance
from spanstream.ingestor.api import router
from spanstream.ingestor.backlog import Backlog
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.erasure.api import Erasure
from spanstream.ingestor.erasure.api import router as erasure_router
from spanstream.ingestor.erasure.holdings import GatewayHoldings, Holdings
from spanstream.ingestor.failures.lane import Lane
from spanstream.ingestor.failures.service import Workbench
from spanstream.ingestor.handler import Handler
from spanstream.ingestor.heads import GatewayHeads, Heads
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.matches import Matches
from spanstream.ingestor.matches_api import router as matches_router
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.progress import Progress
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.versions import Versions
from spanstream.runtime import metrics
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.consumer import ConsumerObserver
from spanstream.runtime.fair_consumer import FairConsumer
from spanstream.runtime.free_space import FreeSpace
from spanstream.runtime.http import HttpServer
from spanstream.runtime.problems import TYPES
from spanstream.runtime.rehearsal import Rehearsal
from spanstream.runtime.service import Report, Service, ThreadService
from spanstream.runtime.settings import SettingsError
from spanstream.runtime.signing import KeyUnreadable, Signer

GROUP = "ingestor"
WORKERS = (DOCUMENTS, PASSAGES, FAILURES)  # topics: the role has a login of its own, to which the others are not there
LOOK_SECONDS = 1.0  # between two looks at how far the pipeline has come
ERASURES_WAITING = 8  # requests of operators that wait for their turn
LIVE_SECONDS = 300.0  # without a poll it hangs: a poll takes 120 s, and what its last document adds to that


def build(
    settings: IngestorSettings,
    *,
    log: Log | None = None,
    blobs: Blobs | None = None,
    heads: Heads | None = None,
    holdings: Holdings | None = None,
    http: HttpServer | None = None,
    parser: Parser | None = None,
    space: FreeSpace | None = None,
) -> Service:
    """The ingestor. What it is not given it makes from `settings`, and closes at the end.

    Without `heads` and gateway_url every document is published, unchanged ones too. Without `space` the API watches the disk
    of the files, and the worker none: it adds nothing to them, and its deletes make room there.
    """
    closed: list[Callable[[], None]] = []
    if log is None:
        log = open_log(settings.log_url, settings.log_access)
        closed.append(log.close)
    blobs = blobs or Blobs(settings.blob_url)
    parts: list[Service] = []
    api = "api" in settings.role_names
    provisioned = Provisioned(log, used_by(GROUP) if api else WORKERS)
    checks: list[Callable[[], list[str]]] = [provisioned.unready, partial(blobs.unready, make=api)]
    if "worker" in settings.role_names:
        parts.append(_worker(settings, log, blobs, parser or Parser(settings.limits), space or FreeSpace((), 0)))
    if api:
        space = space or FreeSpace([blobs.folder] if blobs.folder else [], settings.min_free_bytes)
        authenticator = Authenticator.from_settings(settings)
        checks.append(authenticator.unready)
        parts += _api(settings, log, blobs, heads, holdings, http, authenticator, space, closed)
    return Ingestor(parts, checks, closed)


def _worker(settings: IngestorSettings, log: Log, blobs: Blobs, parser: Parser, space: FreeSpace) -> Service:
    def parsed(name: str, passages: int) -> None:
        metrics.INGESTOR_PARSED.labels(name).inc()
        metrics.INGESTOR_PASSAGES.inc(passages)

    handler = Handler(blobs, parser.parse, settings.cutting, remembered_keys=settings.remembered_keys, parsed=parsed)
    consumer = FairConsumer.over(log, GROUP, [DOCUMENTS.name], settings.max_poll_records, settings.ahead)
    limits, cutting = asdict(settings.limits), asdict(settings.cutting)
    options = {"blob_url": settings.blob_url, "limits": limits, "cutting": cutting}
    rehearsal = Rehearsal("spanstream.ingestor.rehearsing", options)
    loop = Loop(
        GROUP,
        consumer,
        log.producer(),
        space.waiting(handler),
        observer=ConsumerObserver(GROUP),
        commit_seconds=COMMIT_SECONDS,
        survives=rehearsal.survives,
    )

    def close() -> None:
        rehearsal.close()
        parser.close()

    def run(stop: threading.Event) -> None:
        parser.start()
        loop.run(stop)

    return ThreadService(
        "ingestor-worker", [run], live=lambda: loop.live(LIVE_SECONDS), unready=loop.unready, closed=close
    )


def _api(
    settings: IngestorSettings,
    log: Log,
    blobs: Blobs,
    heads: Heads | None,
    holdings: Holdings | None,
    http: HttpServer | None,
    authenticator: Authenticator,
    space: FreeSpace,
    closed: list[Callable[[], None]],
) -> list[Service]:
    """The server if it is our own; the routes are added to the one given otherwise."""
    gateway = None
    if settings.gateway_url is not None:
        # No connection outlives its request: this client belongs to an event loop that it could not be closed from.
        unkept = httpx.Limits(max_keepalive_connections=0)
        gateway = httpx.AsyncClient(base_url=settings.gateway_url, limits=unkept)
        if heads is None:
            heads = asked = GatewayHeads(settings.gateway_url)
            closed.append(asked.close)
        if holdings is None:
            holdings = GatewayHoldings(settings.gateway_url)
            closed.append(holdings.close)
    producer = log.producer()
    closed.insert(0, producer.close)  # before the log
    metrics.from_zero(metrics.INGESTOR_ACCEPTED, ["upsert", "delete"])
    metrics.from_zero(metrics.INGESTOR_REFUSED, [kind for status, kind in TYPES.items() if status not in (401, 403)])
    metrics.from_zero(metrics.INGESTOR_FAILURES_RESOLVED, ["replayed", "discarded"])
    in_flight = InFlight(log, max_accepts=settings.max_accepts_remembered, refresh_seconds=settings.refresh_seconds)
    backlog = Backlog(settings.backlog_seconds, most_open=settings.max_accepts_remembered)
    acceptance = Acceptance(
        producer,
        blobs,
        heads,
        in_flight,
        Versions(),
        inline_text_bytes=settings.inline_text_bytes,
        backlog=backlog,
        space=space,
    )
    server = http or HttpServer(
        "ingestor", settings.http_host, settings.http_port, title="Spanstream ingest", variable="INGESTOR_HTTP_PORT"
    )
    server.include(router(acceptance, authenticator, settings, gateway))
    matches = Matches(log, most=settings.max_match_streams, stopping=server.stopping)
    closed.insert(0, matches.close)
    server.include(matches_router(matches, authenticator))
    workbench = Workbench(log, producer, authenticator, max_bytes=settings.max_failures_bytes)
    closed.insert(0, workbench.close)
    server.include(workbench.router)
    if holdings is not None:
        lane = Lane("erasure", ERASURES_WAITING)
        closed.insert(0, lane.close)
        erasure = Erasure(log, blobs, holdings, acceptance, _signer(settings.receipt_key_file))
        server.include(erasure_router(erasure, lane, authenticator))
    watch = ThreadService("ingestor-backlog", [lambda stop: _watch(backlog, Progress(log), blobs, stop)])
    return [watch, server] if http is None else [watch]


def _watch(backlog: Backlog, progress: Progress, blobs: Blobs, stop: threading.Event) -> None:
    """Tell the backlog what has been applied; before that make the blob store, which workers wait for."""
    blobs.unready(make=True)
    while not stop.wait(LOOK_SECONDS):
        with suppress(EventLogError):  # then nothing is known to have moved
            backlog.applied({} if backlog.idle else progress.look())


def _signer(path: Path | None) -> Signer | None:
    try:
        return None if path is None else Signer.read(path)
    except (KeyUnreadable, OSError) as error:
        raise SettingsError(f"INGESTOR_RECEIPT_KEY_FILE: {error}") from error


class Ingestor:
    """The parse worker and the API's server, as one service."""

    name = "ingestor"

    def __init__(
        self, parts: list[Service], checks: list[Callable[[], list[str]]], closed: list[Callable[[], None]]
    ) -> None:
        """`checks`: what it needs besides its parts."""
        self._parts = parts
        self._checks = checks
        self._closed = closed

    @property
    def http(self) -> HttpServer | None:
        """The server that is the ingestor's own."""
        return next((part for part in self._parts if isinstance(part, HttpServer)), None)

    def start(self, report: Report) -> None:
        """The worker first, then the API."""
        for part in self._parts:
            part.start(report)

    def live(self) -> bool:
        """Whether every part is."""
        return all(part.live() for part in self._parts)

    def unready(self) -> list[str]:
        """What is missing around it, else why a part is not ready."""
        missing = [reason for check in self._checks for reason in check()]
        return missing or [reason for part in self._parts for reason in part.unready()]

    def stop(self, deadline: float) -> None:
        """The API first, so that nothing is accepted any more; then close what was opened."""
        for part in reversed(self._parts):
            part.stop(deadline)
        while self._closed:
            self._closed.pop(0)()
