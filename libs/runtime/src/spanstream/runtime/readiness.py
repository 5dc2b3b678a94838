"""Whether the services of a process are ready, and why not: asked in the background, told at once, logged where it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from spanstream.runtime.logs import get_logger
from spanstream.runtime.metrics import SERVICE_UNREADY
from spanstream.runtime.service import Service

UNREADY_SECONDS = 0.5  # between two looks at a process that is not ready
READY_SECONDS = 2.0
# After which what a service said last no longer counts. Its neighbours may take 10 s each to say that they do not answer.
STALE_SECONDS = 60.0

log = get_logger()


class Readiness:
    """What each service said last. A probe has its answer at once, however long a neighbour takes to answer."""

    def __init__(self, services: Sequence[Service], clock: Callable[[], float] = time.monotonic) -> None:
        """`services` may still grow. `clock` counts seconds."""
        self._services = services
        self._clock = clock
        self._looked = clock()
        self._reasons: dict[str, list[str]] = {"process": ["it is starting"]}

    def reasons(self) -> dict[str, list[str]]:
        """Why each service that is not ready is not; empty: all are."""
        if self._clock() - self._looked > STALE_SECONDS:
            return {"process": [f"a service has not said for {STALE_SECONDS:g} s whether it is ready"]}
        return self._reasons

    def text(self) -> str:
        """For a person, a line for each reason."""
        lines = [f"{name}: {reason}" for name, reasons in self.reasons().items() for reason in reasons]
        return "\n".join(["not ready", *lines]) + "\n" if lines else "ok\n"

    def look(self) -> None:
        """Ask every service, and log what has changed."""
        found = {}
        for service in self._services:
            reasons = service.unready()
            SERVICE_UNREADY.labels(service.name).set(bool(reasons))
            if reasons:
                found[service.name] = reasons
        before, self._reasons, self._looked = self._reasons, found, self._clock()
        if found and found != before:
            log.warning("not_ready", reasons=found)
        elif before and not found:
            log.info("ready")

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            self.look()
            stop.wait(UNREADY_SECONDS if self._reasons else READY_SECONDS)
