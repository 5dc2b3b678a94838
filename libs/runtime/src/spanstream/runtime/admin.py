"""The admin port of a process: /livez, /readyz, /metrics, /config."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from spanstream.runtime import metrics as _declared  # noqa: F401  every metric is there from the first scrape
from spanstream.runtime.http import HttpServer
from spanstream.runtime.readiness import Readiness
from spanstream.runtime.service import Report, Service
from spanstream.runtime.settings import AdminSettings, Settings

LOOK_SECONDS = 1.0  # that a stop waits for a look


class AdminServer(HttpServer):
    """The server, and the thread that looks whether the process is ready."""

    def __init__(self, settings: AdminSettings, readiness: Readiness) -> None:
        super().__init__("admin", settings.host, settings.port, title="Spanstream admin", variable="ADMIN_PORT")
        self._readiness = readiness
        self._end = threading.Event()
        self._looking: threading.Thread | None = None

    def start(self, report: Report) -> None:
        """Look, and answer."""

        def look() -> None:
            try:
                self._readiness.run(self._end)
            except Exception as error:  # noqa: BLE001 reported: it ends the process
                if not self._end.is_set():
                    report(error)

        self._looking = threading.Thread(target=look, name="readiness", daemon=True)
        self._looking.start()
        super().start(report)

    def stop(self, deadline: float) -> None:
        """Answer no more. A look that waits for a neighbour is left behind: others need the time to stop."""
        self._end.set()
        super().stop(deadline)
        if self._looking is not None:
            self._looking.join(LOOK_SECONDS)


def build(settings: AdminSettings, services: Sequence[Service], configs: Sequence[Settings]) -> HttpServer:
    """The admin server over the process's `services` and the settings they were built from."""

    router = APIRouter()
    readiness = Readiness(services)

    @router.get("/livez")
    def livez() -> Response:
        failing = [service.name for service in services if not service.live()]
        text = "ok\n" if not failing else "not: " + ", ".join(failing) + "\n"
        return Response(text, 503 if failing else 200, media_type="text/plain")

    @router.get("/readyz")
    def readyz() -> Response:
        return Response(readiness.text(), 503 if readiness.reasons() else 200, media_type="text/plain")

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/config")
    def config(diff: bool = False) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for item in (*configs, settings):
            shown |= item.shown(changed_only=diff)
        return shown

    server = AdminServer(settings, readiness)
    server.include(router)
    return server
