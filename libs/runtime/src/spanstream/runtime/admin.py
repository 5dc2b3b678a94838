"""The admin port of a process: /livez, /readyz, /metrics, /config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from spanstream.runtime import metrics as _declared  # noqa: F401  every metric is there from the first scrape
from spanstream.runtime.http import HttpServer
from spanstream.runtime.service import Service
from spanstream.runtime.settings import AdminSettings, Settings


def build(settings: AdminSettings, services: Sequence[Service], configs: Sequence[Settings]) -> HttpServer:
    """The admin server over the process's `services` and the settings they were built from."""

    router = APIRouter()

    def answer(states: dict[str, bool]) -> Response:
        failing = [name for name, fine in states.items() if not fine]
        text = "ok\n" if not failing else "not: " + ", ".join(failing) + "\n"
        return Response(text, 503 if failing else 200, media_type="text/plain")

    @router.get("/livez")
    def livez() -> Response:
        return answer({service.name: service.live() for service in services})

    @router.get("/readyz")
    def readyz() -> Response:
        return answer({service.name: service.ready() for service in services})

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/config")
    def config(diff: bool = False) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for item in (*configs, settings):
            shown |= item.shown(changed_only=diff)
        return shown

    server = HttpServer("admin", settings.host, settings.port, title="Spanstream admin")
    server.include(router)
    return server
