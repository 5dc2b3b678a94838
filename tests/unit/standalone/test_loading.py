"""Starting in the background: what is asked meanwhile, and what happens when it fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from spanstream.encoder.encoder import Encoder, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.runtime.service import Report
from spanstream.standalone.loading import Ahead, LoadingEncoder


def test_encoder_is_unavailable_until_it_is_loaded() -> None:
    gate, loaded = threading.Event(), threading.Event()

    def load() -> Encoder:
        gate.wait(90)
        return HashEncoder(8)

    encoder = LoadingEncoder(load)
    encoder.start(lambda error: None)
    assert encoder.unready()
    with pytest.raises(EncoderUnavailable):
        encoder.info()
    gate.set()
    deadline = time.monotonic() + 60
    while encoder.unready() and time.monotonic() < deadline:
        loaded.wait(0.01)
    assert encoder.encode([Text("words", np.zeros((0, 2), np.int32))])[0].whole.shape == (8,)
    encoder.stop(time.monotonic() + 1)


def test_failure_to_load_is_reported_whenever_it_happens() -> None:
    gate, failed = threading.Event(), threading.Event()
    reported: list[BaseException] = []

    def load() -> Encoder:
        gate.wait(90)
        raise FileNotFoundError("no model")

    def report(error: BaseException) -> None:
        reported.append(error)
        failed.set()

    encoder = LoadingEncoder(load)
    encoder.start(report)
    gate.set()
    assert failed.wait(90)
    assert isinstance(reported[0], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        encoder.start(report)


class Slow:
    """A service that starts when it is let."""

    name = "slow"

    def __init__(self, failure: Exception | None = None) -> None:
        self.began, self.gate, self.failure, self.stopped = threading.Event(), threading.Event(), failure, False
        self.report: Report = lambda error: None

    def start(self, report: Report) -> None:
        self.report = report
        self.began.set()
        self.gate.wait(90)
        if self.failure:
            raise self.failure

    def live(self) -> bool:
        return True

    def unready(self) -> list[str]:
        return [] if self.gate.is_set() else ["the gate is shut"]

    def stop(self, deadline: float) -> None:
        self.stopped = True


def test_service_begins_at_once_and_start_waits_for_it() -> None:
    slow = Slow()
    ahead = Ahead(slow)
    assert slow.began.wait(90)
    errors: list[BaseException] = []
    slow.report(RuntimeError("early"))
    slow.gate.set()
    ahead.start(errors.append)
    slow.report(RuntimeError("late"))
    assert [str(error) for error in errors] == ["early", "late"]
    ahead.stop(time.monotonic() + 1)
    assert slow.stopped


def test_failed_start_is_raised_by_start() -> None:
    slow = Slow(ValueError("no"))
    ahead = Ahead(slow)
    slow.gate.set()
    with pytest.raises(ValueError, match="no"):
        ahead.start(lambda error: None)
