from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

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


def encoder(answer: Answer, **settings: Any) -> HttpEncoder:
    settings = {"sleep": lambda seconds: None} | settings

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
    assert isinstance(raised.value, EncoderFailed) is (expected is EncoderFailed)


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


def test_a_text_with_very_many_ranges_is_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanstream.encoder.http._ANSWER_BYTES", 4 * 16 * 10)
    asked: list[list[int]] = []

    def counting(request: httpx.Request) -> httpx.Response:
        asked.append([len(text.ranges) for text in wire.unpack_request(request.content)])
        return honest(request)

    words = "word " * 25
    ranges = np.array([(at, at + 4) for at in range(0, len(words), 5)], np.int32)
    texts = [Text("before", NONE), Text(words, ranges, "Title", context_ranges=12), Text("behind", ranges[:1])]
    results = encoder(counting, in_flight=1).encode(texts)
    assert sorted(asked) == [[0], [7, 1], [9], [9]]
    for result, expected in zip(results, INNER.encode(texts), strict=True):
        np.testing.assert_array_equal(result.whole, expected.whole)
        np.testing.assert_array_equal(result.ranges, expected.ranges)
        np.testing.assert_array_equal(result.tokens, expected.tokens)


def test_requests_in_flight_are_bounded_over_all_threads() -> None:
    lock = threading.Lock()
    now, most = 0, 0
    full = threading.Barrier(2, timeout=60)  # releases only when two requests are in flight together

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
        thread.join(90)
    assert most == 2


def test_addresses_choose_the_adapter() -> None:
    assert isinstance(open_encoder("http://127.0.0.1:1"), HttpEncoder)
    assert open_encoder("hash:32").info().dimension == 32
    for wrong_url in ("inproc:minilm", "hash:", "hash:0", "http:x", "ftp://x", ""):
        with pytest.raises(ValueError, match="ENCODER_URL"):
            open_encoder(wrong_url)


def test_applications_of_other_versions_say_less_or_more_of_themselves() -> None:
    told = asdict(INNER.info()) | {"precision": "turbo4"}
    answers = [{name: told[name] for name in told if name != "precision"}, told | {"sparsity": 3}]
    found = [
        HttpEncoder(
            "http://encoder", transport=httpx.MockTransport(lambda _, answer=answer: httpx.Response(200, json=answer))
        ).info()
        for answer in answers
    ]
    assert found == [INNER.info(), replace(INNER.info(), precision="turbo4")]


@pytest.mark.parametrize("answer", [{"release": "x"}, [], None, "release"])
def test_an_application_that_does_not_say_what_it_is_is_refused(answer: object) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    with pytest.raises(InvalidVectors, match="does not say what it is"):
        HttpEncoder("http://encoder", transport=transport).info()


def busy(times: int, after: str = "2") -> tuple[Answer, list[httpx.Request]]:
    """Refuses so often for want of room, then answers; and what it was sent."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(503, headers={"retry-after": after}) if len(seen) <= times else honest(request)

    return answer, seen


def test_a_request_refused_for_want_of_room_is_sent_again_when_it_is_told_to() -> None:
    answer, seen = busy(2)
    waits: list[float] = []
    assert len(encoder(answer, sleep=waits.append).encode([Text("a", NONE)])) == 1
    assert waits == [2.0, 2.0]
    assert seen[0].content == seen[2].content


def test_patience_ends_and_says_when_to_come_again() -> None:
    answer, _ = busy(99)
    waits: list[float] = []
    with pytest.raises(EncoderUnavailable) as raised:
        encoder(answer, sleep=waits.append).encode([Text("a", NONE)])
    assert raised.value.after == 2.0
    assert sum(waits) <= 5


@pytest.mark.parametrize("after", ["", "Wed, 21 Oct 2026 07:28:00 GMT", "-1"])
def test_a_refusal_that_does_not_say_when_is_not_sent_again(after: str) -> None:
    answer, seen = busy(1, after)
    with pytest.raises(EncoderUnavailable):
        encoder(answer).encode([Text("a", NONE)])
    assert len(seen) == 1


def test_a_query_does_not_wait_for_room() -> None:
    answer, seen = busy(1)
    with pytest.raises(EncoderUnavailable):
        encoder(answer).encode([Text("a", NONE)], query=True)
    assert len(seen) == 1


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("broken", [502, httpx.RemoteProtocolError, httpx.ReadError])
def test_a_request_whose_replica_went_away_is_sent_again(broken: int | type[httpx.TransportError], query: bool) -> None:
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls > 2:
            return honest(request)
        if isinstance(broken, int):
            return httpx.Response(broken)
        raise broken("gone")

    assert len(encoder(answer).encode([Text("a", NONE)], query=query)) == 1


def test_a_text_that_ends_every_replica_meets_three_at_most() -> None:
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(502)

    with pytest.raises(EncoderFailed):
        encoder(answer).encode([Text("a", NONE)])
    assert calls == 3


def test_a_request_says_what_it_is_for_and_what_vectors_should_travel_as() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        kind = request.url.params["vectors"]
        results = INNER.encode(wire.unpack_request(request.content))
        return httpx.Response(200, content=wire.pack_response(results, 16, kind))

    (bulk,) = encoder(answer, vectors="float16").encode([Text("a", NONE)])
    encoder(answer).encode([Text("a", NONE)], query=True)
    assert [dict(request.url.params) for request in seen] == [
        {"query": "false", "vectors": "float16"},
        {"query": "true", "vectors": "float32"},
    ]
    np.testing.assert_allclose(bulk.whole, INNER.encode([Text("a", NONE)])[0].whole, atol=1e-3)


@pytest.mark.parametrize("address", ["http://encoder/minilm", "http://encoder/minilm/"])
def test_an_address_may_have_a_path(address: str) -> None:
    paths: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json=asdict(INNER.info())) if request.method == "GET" else honest(request)

    asked = HttpEncoder(address, transport=httpx.MockTransport(handle))
    asked.encode([Text("a", NONE)])
    assert paths == ["/minilm/v1/info", "/minilm/v1/encode"]


def test_a_closed_client_is_unavailable_for_large_calls_too() -> None:
    client = encoder(honest)
    client.info()
    client.close()
    with pytest.raises(EncoderUnavailable, match="closed"):
        client.encode([Text("x" * 400_000, NONE)] * 2)


def test_an_application_of_another_release_than_at_first_is_not_ready() -> None:
    said = INNER.info()
    client = HttpEncoder(
        "http://encoder", transport=httpx.MockTransport(lambda request: httpx.Response(200, json=asdict(said)))
    )
    assert not client.unready()
    client.info()
    assert not client.unready()
    said = replace(said, release="next@2")
    assert client.unready() == ["the encoder is next@2 now, this process works with hash-16: restart it"]


def test_every_request_of_a_call_says_what_it_belongs_to() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("traceparent"))
        return honest(request)

    client = encoder(answer, trace=lambda: {"traceparent": "here"})
    client.encode([Text("x" * 200_000, NONE)] * 3)
    assert len(seen) > 1
    assert set(seen) == {"here"}


def test_vectors_of_another_release_than_at_first_are_refused() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        response = honest(request)
        response.headers[wire.RELEASE] = release
        return response

    client = encoder(answer)
    release = "hash-16"
    assert len(client.encode([Text("a", NONE)])) == 1
    release = "n%C3%A4chste%402"
    with pytest.raises(EncoderUnavailable, match="nächste@2 now, this process works with hash-16"):
        client.encode([Text("a", NONE)])
