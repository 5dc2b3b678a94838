"""What a person is told while everything starts."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

from rich.console import Console

from spanstream.client import config
from spanstream.runtime.service import Report
from spanstream.standalone.welcome import TELL_SECONDS, Welcome


class Waiting:
    """Never ready; at the third look it is asked to stop."""

    name = "waiting"

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._looks = 0

    def start(self, report: Report) -> None:
        """Nothing."""

    def live(self) -> bool:
        return True

    def unready(self) -> list[str]:
        self._looks += 1
        if self._looks == 3:
            self._stop.set()
        return ["the encoder does not answer"]

    def stop(self, deadline: float) -> None:
        """Nothing."""


def test_a_start_that_takes_long_says_what_it_waits_for_and_not_at_every_look(tmp_path: Path) -> None:
    shown, stop = io.StringIO(), threading.Event()
    welcome = Welcome(
        Console(file=shown, width=200),
        [Waiting(stop)],
        tmp_path,
        "http://127.0.0.1:1",
        str,
        with_gateway=True,
        with_samples=False,
        as_json=False,
        began=time.monotonic() - TELL_SECONDS,
    )
    welcome.run(stop)
    assert shown.getvalue().count("Not ready yet: the encoder does not answer") == 1


def test_without_a_gateway_nobody_is_asked_how_much_there_is(tmp_path: Path) -> None:
    """It was said in red that the first documents did not get in."""
    config.save(tmp_path, {"url": "http://127.0.0.1:9", "api_key": "k"})
    shown = io.StringIO()
    welcome = Welcome(
        Console(file=shown, width=200),
        [],
        tmp_path,
        "http://127.0.0.1:1",
        str,
        with_gateway=False,
        with_samples=False,
        as_json=False,
        began=time.monotonic(),
    )
    welcome.run(threading.Event())
    assert "did not get in" not in shown.getvalue()
    assert "http://127.0.0.1:1/metrics" in shown.getvalue()
