"""The encoder application as its own process, with the real model, and what it says to malformed requests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from time import monotonic

import httpx
import numpy as np
import pytest

from spanstream.embedder.application import EncoderApplication
from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.http import HttpEncoder

NONE = np.empty((0, 2), np.int32)
HEADERS = {"content-type": wire.MEDIA_TYPE}
GOOD = wire.pack_request([Text("abc", np.array([[0, 3]], np.int32))])
OUTSIDE = wire.pack_request([Text("abc", np.array([[0, 4]], np.int32))])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_the_application_runs_on_its_own_and_stops_cleanly() -> None:
    port = free_port()
    environment = {**os.environ, "ENCODER_PORT": str(port), "ADMIN_PORT": "0", "ENCODER_DTYPE": "float32"}
    command = [sys.executable, "-m", "spanstream.embedder.application"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    encoder = HttpEncoder(f"http://127.0.0.1:{port}")
    try:
        deadline = monotonic() + 60
        while not encoder.ready() and monotonic() < deadline and process.poll() is None:
            threading.Event().wait(0.1)
        info = encoder.info()
        assert info.release.startswith("all-MiniLM-L6-v2@")
        assert (info.dimension, info.max_tokens) == (384, 256)
        (result,) = encoder.encode([Text("The wing stalls. A cat sleeps.", np.array([[0, 16], [17, 30]], np.int32))])
        assert result.tokens.tolist() == [4, 4]
    finally:
        encoder.close()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert not re.search("Traceback", errors)


@pytest.fixture(scope="module")
def application() -> Iterator[EncoderApplication]:
    made = EncoderApplication(EncoderSettings(port=0, max_body_bytes=1 << 16), HashEncoder(16))
    made.start(lambda error: None)
    yield made
    made.stop(monotonic() + 5)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", HEADERS, 400),
        (b"SPQ1", HEADERS, 400),
        (b"{}", HEADERS, 400),
        (GOOD[:-1], HEADERS, 400),
        (GOOD + b"x", HEADERS, 400),
        (b"SPQ1" + b"\xff" * 20, HEADERS, 400),
        (OUTSIDE, HEADERS, 400),
        (GOOD, {"content-type": "application/json"}, 415),
        (b"x" * (1 << 17), HEADERS, 413),
    ],
)
def test_a_malformed_request_is_a_problem(
    application: EncoderApplication, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = httpx.post(f"{application.url}/v1/encode", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_method_that_is_not_there_is_a_problem(application: EncoderApplication) -> None:
    answer = httpx.get(f"{application.url}/v1/encode")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


class Blocked:
    """A hash encoder that answers once it is let go, or with NaN."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self._inner = HashEncoder(8)

    def info(self) -> EncoderInfo:
        return self._inner.info()

    def encode(self, texts: list[Text]) -> list[Encoded]:
        results = self._inner.encode(texts)
        if texts[0].text == "nan":
            return [Encoded(result.whole * np.float32("nan"), result.ranges, result.tokens) for result in results]
        self.entered.set()
        self.leave.wait(20)
        return results

    def ready(self) -> bool:
        return True

    def close(self) -> None: ...


def test_more_requests_than_it_takes_are_told_to_come_again() -> None:
    inner = Blocked()
    application = EncoderApplication(EncoderSettings(port=0, max_requests=1), inner)
    application.start(lambda error: None)
    first, second = HttpEncoder(application.url), HttpEncoder(application.url)
    busy = threading.Thread(target=first.encode, args=([Text("a", NONE)],))
    busy.start()
    assert inner.entered.wait(20)
    with pytest.raises(EncoderUnavailable, match="503"):
        second.encode([Text("b", NONE)])
    answer = httpx.post(f"{application.url}/v1/encode", content=GOOD, headers=HEADERS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    inner.leave.set()
    busy.join(20)
    assert len(second.encode([Text("c", NONE)])) == 1
    answer = httpx.post(f"{application.url}/v1/encode", content=wire.pack_request([Text("nan", NONE)]), headers=HEADERS)
    assert answer.status_code == 422
    first.close()
    second.close()
    application.stop(monotonic() + 5)


def test_no_one_there_is_unavailable() -> None:
    encoder = HttpEncoder(f"http://127.0.0.1:{free_port()}", timeout=2)
    assert not encoder.ready()
    with pytest.raises(EncoderUnavailable):
        encoder.info()
    encoder.close()
