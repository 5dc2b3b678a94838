"""The life of a process: start services in order, wait for a signal or a failure, stop them in reverse."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from spanstream.runtime.logs import get_logger

log = get_logger()
Report = Callable[[BaseException], None]

STOP_SECONDS = 10.0  # one deadline shared by all services


class Service(Protocol):
    """Something that runs until it is stopped."""

    name: str

    def start(self, report: Report) -> None:
        """Return once running; a later failure goes to `report`, once, and ends the process."""
        ...

    def live(self) -> bool:
        """False when it hangs: the process should be killed. Never depends on a neighbour."""
        ...

    def unready(self) -> list[str]:
        """Why it is not ready, in words that name what to mend; nothing: it is. May ask its neighbours, for seconds."""
        ...

    def stop(self, deadline: float) -> None:
        """Stop by `time.monotonic() == deadline`; idempotent."""
        ...


def run(
    services: Sequence[Service],
    *,
    stop: threading.Event | None = None,
    started: Callable[[], None] | None = None,
    failed: Callable[[BaseException], None] | None = None,
    stop_seconds: float = STOP_SECONDS,
) -> int:
    """Run `services` until SIGINT, SIGTERM, `stop` or the first failure; the exit code is 1 after a failure, else 0.

    1 start in list order, 2 call `started`, 3 wait, 4 stop in reverse under one deadline. Nothing restarts in place.
    Each failure is logged and given to `failed`. A second signal exits at once, uncommitted, which is safe. Must be
    called from the main thread.
    """
    stop = stop or threading.Event()
    failures: list[BaseException] = []

    def report(error: BaseException) -> None:
        failures.append(error)
        stop.set()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    running: list[Service] = []
    try:
        for service in services:  # 1
            if stop.is_set():
                break
            running.append(service)
            service.start(report)
            log.info("service_started", service=service.name)
        if started is not None and not stop.is_set():
            started()  # 2
        while not stop.wait(0.5):  # 3 woken twice a second so that signals are seen on every platform
            pass
    except Exception as error:
        failures.append(error)
    finally:
        stop.set()
        deadline = time.monotonic() + stop_seconds
        for service in reversed(running):  # 4
            try:
                service.stop(deadline)
            except Exception as error:
                failures.append(error)
        for number, handler in previous.items():
            signal.signal(number, handler)
    for failure in failures:
        detail = str(failure) if _ours(failure) else ""  # any other's words may quote a document or a secret
        log.error("service_failed", detail=detail, exc_info=failure)
        if failed is not None:
            failed(failure)
    return 1 if failures else 0


def _ours(error: BaseException) -> bool:
    """Whether we wrote its message."""
    return type(error).__module__.partition(".")[0] == "spanstream"


class StopTimeout(TimeoutError):
    """Threads were still at work when the deadline came."""


class ThreadService:
    """A service made of threads that each run `target(stop)` until `stop` is set."""

    def __init__(
        self,
        name: str,
        targets: Sequence[Callable[[threading.Event], None]],
        *,
        live: Callable[[], bool] = lambda: True,
        unready: Callable[[], list[str]] = list,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """`closed` runs once after the last thread has ended, never under one that is late."""
        self.name = name
        self.live = live
        self.unready = unready
        self._closed = closed
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guard, args=(target,), name=f"{name}-{i}", daemon=True)
            for i, target in enumerate(targets)
        ]
        self._report: Report = lambda error: None

    def start(self, report: Report) -> None:
        """Start the threads."""
        self._report = report
        for thread in self._threads:
            thread.start()

    def stop(self, deadline: float) -> None:
        """Ask the threads to end and wait for them until the deadline; raises StopTimeout if any is late."""
        if self._stop.is_set():
            return
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            raise StopTimeout(f"did not stop in time: {', '.join(late)}")
        self._closed()

    def _guard(self, target: Callable[[threading.Event], None]) -> None:
        try:
            target(self._stop)
        except BaseException as error:  # a thread's death is the process's death
            self._report(error)
