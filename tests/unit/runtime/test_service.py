from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from structlog.testing import capture_logs

from spanstream.runtime.service import Report, ThreadService, run
from spanstream.runtime.settings import SettingsError


class Probe:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, journal: list[str], *, fails_at: str = "") -> None:
        self.name, self._journal, self._fails_at = name, journal, fails_at

    def start(self, report: Report) -> None:
        self._journal.append(f"start {self.name}")
        if self._fails_at == "start":
            raise RuntimeError("cannot start")
        if self._fails_at == "later":
            report(RuntimeError("died"))

    def live(self) -> bool:
        return True

    def unready(self) -> list[str]:
        return []

    def stop(self, deadline: float) -> None:
        assert deadline > time.monotonic()
        self._journal.append(f"stop {self.name}")
        if self._fails_at == "stop":
            raise RuntimeError("cannot stop")


def test_services_start_in_order_and_stop_in_reverse() -> None:
    journal: list[str] = []
    stop = threading.Event()
    code = run(
        [Probe("a", journal), Probe("b", journal)], stop=stop, started=lambda: (journal.append("up"), stop.set())
    )
    assert code == 0
    assert journal == ["start a", "start b", "up", "stop b", "stop a"]


def test_a_failed_start_stops_what_runs_and_exits_with_one() -> None:
    journal: list[str] = []
    assert run([Probe("a", journal), Probe("b", journal, fails_at="start"), Probe("c", journal)]) == 1
    assert journal == ["start a", "start b", "stop b", "stop a"]


def test_a_later_failure_ends_the_process() -> None:
    journal: list[str] = []
    assert run([Probe("a", journal, fails_at="later"), Probe("b", journal)]) == 1
    assert journal[-1] == "stop a"


def test_one_service_that_cannot_stop_does_not_keep_the_others_running() -> None:
    journal: list[str] = []
    stop = threading.Event()
    assert run([Probe("a", journal), Probe("b", journal, fails_at="stop")], stop=stop, started=stop.set) == 1
    assert journal[-2:] == ["stop b", "stop a"]


def test_a_signal_stops_and_the_previous_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    journal: list[str] = []
    assert run([Probe("a", journal)], started=lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
    assert journal == ["start a", "stop a"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_failure_is_logged_in_our_words_only() -> None:
    for failure, detail in (
        (ValueError("cannot read 'the text of a document'"), ""),
        (SettingsError("PORT: is in use"), "PORT: is in use"),
    ):
        probe = Probe("a", [])
        probe.start = lambda report, failure=failure: report(failure)  # type: ignore[method-assign]
        with capture_logs() as lines:
            assert run([probe]) == 1
        (line,) = [line for line in lines if line["event"] == "service_failed"]
        assert (line["detail"], line["exc_info"]) == (detail, failure)


def test_a_threads_death_is_reported() -> None:
    failures: list[BaseException] = []
    reported = threading.Event()

    def report(error: BaseException) -> None:
        failures.append(error)
        reported.set()

    def target(stop: threading.Event) -> None:
        raise ValueError("broken")

    service = ThreadService("t", [target])
    service.start(report)
    assert reported.wait(90)
    assert isinstance(failures[0], ValueError)
    service.stop(time.monotonic() + 1)


def test_threads_are_asked_to_stop_and_then_closed_once() -> None:
    closed: list[int] = []
    service = ThreadService("t", [lambda stop: stop.wait() and None] * 2, closed=lambda: closed.append(1))
    service.start(lambda error: None)
    service.stop(time.monotonic() + 10)
    service.stop(time.monotonic() + 10)
    assert closed == [1]


def test_what_a_late_thread_still_uses_is_not_closed_under_it() -> None:
    closed: list[int] = []
    release = threading.Event()
    service = ThreadService("t", [lambda stop: release.wait() and None], closed=lambda: closed.append(1))
    service.start(lambda error: None)
    with pytest.raises(TimeoutError):
        service.stop(time.monotonic() + 0.01)
    assert closed == []
    release.set()
