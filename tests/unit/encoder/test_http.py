from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict

import httpx
import numpy as np
import pytest

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.http import HttpEncoder
from spanstream.encoder.opening import open_encoder

NONE = np.empty((0, 2), np.int32)
INNER = HashEncoder(16)
Answer = Callable[[httpx.Request], httpx.Response]


def encoder(answer: Answer, **settings: int) -> HttpEncoder:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/info":
            return httpx.Response(200, json=asdict(INNER.info()))
        return answer(request)

    return HttpEncoder("http://encoder", transport=httpx.MockTransport(handle), **settings)


def honest(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=wire.pack_response(INNER.encode(wire.unpack_request(request.content)), 16))


def wrong(change: Callable[[Encoded], Encoded]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        results = [change(result) for result in INNER.encode(wire.unpack_request(request.content))]
        return httpx.Response(200, content=wire.pack_response(results, len(results[0].whole)))

    return answer


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507])
def test_an_overload_or_server_error_is_unavailable_and_only_the_latter_may_be_the_texts_doing(status: int) -> None:
    expected = EncoderFailed if status in (500, 502, 507) else EncoderUnavailable
    with pytest.raises(EncoderUnavailable) as raised:
        encoder(lambda request: httpx.Response(status)).encode([Text("a", NONE)])
    assert type(raised.value) is expected


@pytest.mark.parametrize("status", [302, 400, 404, 413, 415, 422])
def test_any_other_status_is_a_rejection(status: int) -> None:
    with pytest.raises(EncoderRejected):
        encoder(lambda request: httpx.Response(status)).encode([Text("a", NONE)])


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.PoolTimeout])
def test_no_answer_is_unavailable(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("no")

    with pytest.raises(EncoderUnavailable):
        encoder(fail).encode([Text("a", NONE)])


@pytest.mark.parametrize(
    "change",
    [
        lambda result: Encoded(result.whole * np.float32("nan"), result.ranges, result.tokens),
        lambda result: Encoded(result.whole * 0, result.ranges, result.tokens),
        lambda result: Encoded(result.whole * 2, result.ranges, result.tokens),
        lambda result: Encoded(result.whole[:8], result.ranges[:, :8], result.tokens),
        lambda result: Encoded(result.whole, result.ranges[:-1], result.tokens[:-1]),
    ],
    ids=["nan", "zero", "length 2", "dimension", "count"],
)
def test_wrong_vectors_are_never_returned(change: Callable[[Encoded], Encoded]) -> None:
    with pytest.raises(InvalidVectors):
        encoder(wrong(change)).encode([Text("a b", np.array([[0, 1], [2, 3]], np.int32))])


def test_an_answer_to_fewer_texts_is_invalid() -> None:
    def fewer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=wire.pack_response(INNER.encode(wire.unpack_request(request.content))[:-1], 16)
        )

    with pytest.raises(InvalidVectors):
        encoder(fewer).encode([Text("a", NONE), Text("b", NONE)])


def test_an_answer_that_is_no_body_is_invalid() -> None:
    with pytest.raises(InvalidVectors):
        encoder(lambda request: httpx.Response(200, json={"vectors": []})).encode([Text("a", NONE)])


def test_a_large_call_goes_as_several_requests_in_order() -> None:
    sizes: list[int] = []

    def counting(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.content))
        return honest(request)

    texts = [Text(f"text {i} " + "x" * 400_000, NONE) for i in range(7)]
    results = encoder(counting).encode(texts)
    assert len(sizes) == 7  # each text alone is above what a request should have
    for result, expected in zip(results, INNER.encode(texts), strict=True):
        np.testing.assert_array_equal(result.whole, expected.whole)


def test_requests_in_flight_are_bounded_over_all_threads() -> None:
    lock = threading.Lock()
    now, most = 0, 0
    full = threading.Barrier(2, timeout=10)  # releases only when two requests are in flight together

    def slow(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        full.wait()
        with lock:
            now -= 1
        return honest(request)

    client = encoder(slow, in_flight=2)
    threads = [threading.Thread(target=client.encode, args=([Text("a", NONE)],)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 2


def test_addresses_choose_the_adapter() -> None:
    assert isinstance(open_encoder("http://127.0.0.1:1"), HttpEncoder)
    assert open_encoder("hash:32").info().dimension == 32
    for wrong_url in ("inproc:minilm", "hash:", "hash:0", "http:x", "ftp://x", ""):
        with pytest.raises(ValueError, match="ENCODER_URL"):
            open_encoder(wrong_url)
