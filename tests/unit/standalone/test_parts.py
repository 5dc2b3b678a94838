"""What all services of a machine share is closed after them, and never under a thread of theirs."""

from __future__ import annotations

import threading
import time

import pytest

from spanstream.runtime.service import ThreadService
from spanstream.standalone.parts import Shared


class Resource:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_shared_is_closed_once_the_services_have_stopped() -> None:
    resource = Resource()
    service = ThreadService("quick", [lambda stop: stop.wait() and None])
    service.start(lambda error: None)
    deadline = time.monotonic() + 60
    service.stop(deadline)
    Shared([resource]).stop(deadline)
    assert resource.closed == 1


def test_shared_is_left_open_under_a_thread_that_is_late() -> None:
    resource, gate = Resource(), threading.Event()
    service = ThreadService("late", [lambda stop: gate.wait(90) and None])
    service.start(lambda error: None)
    deadline = time.monotonic() + 0.05
    with pytest.raises(TimeoutError):
        service.stop(deadline)
    Shared([resource]).stop(deadline)
    assert resource.closed == 0
    gate.set()
