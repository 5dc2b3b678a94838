"""The encoder application as its own process, with the real model, and what it says to malformed requests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from time import monotonic

import httpx
import numpy as np
import pytest

from spanstream.embedder.application import EncoderApplication
from spanstream.embedder.service import build
from spanstream.embedder.settings import EmbedderSettings, EncoderSettings
from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.http import HttpEncoder
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import codec
from spanstream.events.topics import ALL, EMBEDDINGS
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from tests.fixtures.passages import message

NONE = np.empty((0, 2), np.int32)
HEADERS = {"content-type": wire.MEDIA_TYPE}
GOOD = wire.pack_request([Text("abc", np.array([[0, 3]], np.int32))])
MANY = wire.pack_request([Text("a", np.zeros((1 << 10, 2), np.int32))])  # vectors: with that of the text one too many
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
        while encoder.unready() and monotonic() < deadline and process.poll() is None:
            threading.Event().wait(0.1)
        info = encoder.info()
        assert info.release.startswith("all-MiniLM-L6-v2@")
        assert (info.dimension, info.max_tokens) == (384, 256)
        (result,) = encoder.encode([Text("The wing stalls. A cat sleeps.", np.array([[0, 16], [17, 30]], np.int32))])
        assert result.tokens.tolist() == [4, 4]
    finally:
        encoder.close()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert not re.search("Traceback", errors)


@pytest.fixture(scope="module")
def application() -> Iterator[EncoderApplication]:
    made = EncoderApplication(
        EncoderSettings(port=0, max_body_bytes=1 << 16, max_answer_bytes=1 << 16), HashEncoder(16)
    )
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
        (MANY, HEADERS, 413),
    ],
)
def test_a_malformed_request_is_a_problem(
    application: EncoderApplication, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = httpx.post(f"{application.url}/v1/encode", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


@pytest.mark.parametrize("question", ["vectors=int4", "query=perhaps"])
def test_a_parameter_it_does_not_know_is_a_problem(application: EncoderApplication, question: str) -> None:
    answer = httpx.post(f"{application.url}/v1/encode?{question}", content=GOOD, headers=HEADERS)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_vectors_travel_as_they_are_asked_for(application: EncoderApplication, kind: wire.VectorType) -> None:
    encoder = HttpEncoder(application.url, vectors=kind)
    (got,) = encoder.encode([Text("some words", NONE)])
    (expected,) = HashEncoder(16).encode([Text("some words", NONE)])
    encoder.close()
    np.testing.assert_allclose(got.whole, expected.whole, atol={"float32": 0, "float16": 1e-3, "int8": 5e-3}[kind])


def unfinished(application: EncoderApplication) -> socket.socket:
    """A connection whose request lacks the end of its body."""
    url = httpx.URL(application.url)
    connection = socket.create_connection((url.host, url.port), timeout=60)
    head = (
        f"POST /v1/encode HTTP/1.1\r\nhost: x\r\ncontent-type: {wire.MEDIA_TYPE}\r\ncontent-length: {len(GOOD)}\r\n\r\n"
    )
    connection.sendall(head.encode() + GOOD[:9])
    return connection


def test_who_sends_too_slowly_gives_its_place_back(
    application: EncoderApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanstream.embedder.application._BODY_SECONDS", 0.2)
    connections = [unfinished(application) for _ in range(48)]  # all places that bulk has
    for connection in connections:
        assert b" 408 " in connection.recv(1000)
        connection.close()
    assert httpx.post(f"{application.url}/v1/encode", content=GOOD, headers=HEADERS).status_code == 200


def test_who_goes_away_in_the_middle_is_no_failure(
    application: EncoderApplication, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(48):
        unfinished(application).close()
    deadline = monotonic() + 60
    while httpx.post(f"{application.url}/v1/encode", content=GOOD, headers=HEADERS).status_code != 200:
        assert monotonic() < deadline
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_answer_names_its_release(application: EncoderApplication) -> None:
    answer = httpx.post(f"{application.url}/v1/encode", content=GOOD, headers=HEADERS)
    assert answer.headers[wire.RELEASE] == "hash-16"


def test_a_method_that_is_not_there_is_a_problem(application: EncoderApplication) -> None:
    answer = httpx.get(f"{application.url}/v1/encode")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


class Blocked:
    """A hash encoder that answers once it is let go, or with NaN."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self._inner = HashEncoder(8)
        self.failing = False

    def info(self) -> EncoderInfo:
        return self._inner.info()

    def encode(self, texts: list[Text], *, query: bool = False) -> list[Encoded]:
        results = self._inner.encode(texts)
        if texts[0].text == "nan" or self.failing:
            return [Encoded(result.whole * np.float32("nan"), result.ranges, result.tokens) for result in results]
        if not query:
            self.entered.set()
            self.leave.wait(90)
        return results

    def unready(self) -> list[str]:
        return []

    def close(self) -> None: ...


def test_more_requests_than_it_takes_are_told_to_come_again_but_a_query_finds_room() -> None:
    inner = Blocked()
    application = EncoderApplication(EncoderSettings(port=0, max_requests=2, query_requests=1), inner)
    application.start(lambda error: None)
    first = HttpEncoder(application.url)
    second = HttpEncoder(application.url, sleep=lambda seconds: None)
    busy = threading.Thread(target=first.encode, args=([Text("a", NONE)],))
    busy.start()
    assert inner.entered.wait(90)
    with pytest.raises(EncoderUnavailable, match="503"):
        second.encode([Text("b", NONE)])
    answer = httpx.post(f"{application.url}/v1/encode", content=GOOD, headers=HEADERS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert len(second.encode([Text("d", NONE)], query=True)) == 1
    inner.leave.set()
    busy.join(90)
    assert len(second.encode([Text("c", NONE)])) == 1
    answer = httpx.post(f"{application.url}/v1/encode", content=wire.pack_request([Text("nan", NONE)]), headers=HEADERS)
    assert answer.status_code == 422
    assert httpx.get(f"{application.url}/v1/health").status_code == 200
    inner.failing = True
    answer = httpx.get(f"{application.url}/v1/health")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    first.close()
    second.close()
    application.stop(monotonic() + 5)


class Counting(HashEncoder):
    """Notes how many calls it has at once."""

    def __init__(self) -> None:
        super().__init__(8)
        self.now, self.most, self._lock = 0, 0, threading.Lock()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.05)
        with self._lock:
            self.now -= 1
        return super().encode(texts, query=query)


@pytest.mark.parametrize(("in_flight", "room", "most"), [(2, 8, 2), (4, 1, 1)], ids=["its own bound", "no room"])
def test_the_worker_asks_no_more_at_once_than_it_may_and_again_where_there_was_no_room(
    in_flight: int, room: int, most: int
) -> None:
    inner = Counting()
    application = EncoderApplication(EncoderSettings(port=0, max_requests=room + 1, query_requests=1), inner)
    application.start(lambda error: None)
    log = MemoryLog()
    log.ensure_topics(ALL)
    settings = EmbedderSettings(
        log_url="memory:", encoder_url=application.url, encoder_in_flight=in_flight, max_poll_records=1, loops=4
    )
    failures: list[BaseException] = []
    worker = build(settings, log=log)
    worker.start(failures.append)
    producer, reader = log.producer(), log.consumer("test", [EMBEDDINGS.name])
    ids = [f"d{number}" for number in range(24)]
    producer.publish([message(id) for id in ids])
    seen: list[str] = []
    deadline = monotonic() + 60
    while len(seen) < len(ids) and monotonic() < deadline:
        seen += [
            codec.decode(EmbeddingEvent, record.key, record.value, record.headers).origin.id
            for record in reader.poll(0.1)
        ]
    worker.stop(monotonic() + 10)
    application.stop(monotonic() + 5)
    reader.close()
    producer.close()
    assert sorted(seen) == sorted(ids)
    assert inner.most == most
    assert failures == []


def test_no_one_there_is_unavailable() -> None:
    encoder = HttpEncoder(f"http://127.0.0.1:{free_port()}", timeout=2)
    assert encoder.unready()
    with pytest.raises(EncoderUnavailable):
        encoder.info()
    encoder.close()
