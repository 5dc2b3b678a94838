"""Requests that are none, over real sockets: every one is answered, no one else notices."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from spanstream.runtime.http import HttpServer

PATIENCE = 2.0  # seconds: more than a busy machine takes for a small request
WAIT = 60.0


class Seen:
    """What the route was sent before the caller went."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.broken = 0


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def server(seen: Seen) -> Iterator[HttpServer]:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    router = APIRouter()

    @router.post("/echo")
    async def echo(request: Request) -> int:
        try:
            body = await request.body()
        except ClientDisconnect:
            seen.broken += 1
            return 0  # to nobody
        seen.whole.append(body)
        return len(body)

    made = HttpServer("test", "127.0.0.1", 0, patience_seconds=PATIENCE)
    made.include(router, max_body_bytes=100_000)
    made.start(lambda error: None)
    yield made
    made.stop(time.monotonic() + 10)


def connected(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT)


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and problem of the first answer, once the server has closed."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass  # it closed while we still sent
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), received[:200]
    return int(head.split()[1]), json.loads(body)


def asked(server: HttpServer, *parts: bytes) -> tuple[int, dict[str, Any]]:
    with connected(server) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before its end
        return answered(connection)


def still_well(server: HttpServer) -> bool:
    return bool(httpx.post(f"{server.url}/echo", content=b"well", timeout=WAIT).json() == 4)


HEAD = b"POST /echo HTTP/1.1\r\nHost: here\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 as TLS begins\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n\r\n", 400),
        (HEAD + b"Bad Name: x\r\n\r\n", 400),
        (HEAD + b"X: a\rb\r\n\r\n", 400),
        (HEAD + b"X: a\x00b\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nXYZ\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\nhello", 501),
        (b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
        (HEAD + b"X: " + b"a" * 2**20 + b"\r\n\r\n", 431),
        (HEAD + b"X: a\r\n" * 100_000 + b"\r\n", 431),
    ],
    ids=lambda value: value[:60].decode("latin-1").replace("\r\n", " ") if isinstance(value, bytes) else None,
)
def test_what_is_no_request_is_a_problem_and_the_end(server: HttpServer, request_: bytes, status: int) -> None:
    found, problem = asked(server, request_)
    assert (found, problem["status"]) == (status, status)
    assert problem["request_id"]
    assert still_well(server)


def test_a_length_beside_chunks_is_refused(server: HttpServer, seen: Seen) -> None:
    """Two servers that read it differently would see two requests where the other sees one."""
    both = HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED"
    assert asked(server, both)[0] == 400
    assert seen.whole.count(b"") == 0


def test_a_body_shorter_than_it_says_is_never_taken_for_whole(server: HttpServer, seen: Seen) -> None:
    before = seen.broken
    with connected(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nonly this")
    deadline = time.monotonic() + WAIT
    while seen.broken == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen.broken == before + 1
    assert not any(b"only this" in body for body in seen.whole)


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /echo HT", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n", HEAD + b"Content-Length: 9\r\n\r\nabc"],
)
def test_a_request_that_does_not_come_to_its_end_is_408(server: HttpServer, begun: bytes) -> None:
    assert asked(server, begun)[0] == 408


def test_a_byte_now_and_then_is_too_slow_and_hundreds_of_idle_callers_disturb_nobody(server: HttpServer) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(server)) for _ in range(200)]
        slow = stack.enter_context(connected(server))
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        assert still_well(server)
        slow.settimeout(PATIENCE / 3)
        deadline = time.monotonic() + WAIT
        received = b""
        while b"\r\n\r\n" not in received:
            assert time.monotonic() < deadline
            try:
                slow.sendall(b"x")
                received += slow.recv(65536)
            except TimeoutError:
                continue
        assert received.split()[1] == b"408"
        assert [answered(each)[0] for each in idle] == [408] * len(idle)
    assert still_well(server)


def test_a_long_answer_and_a_kept_connection_are_not_slow_requests(server: HttpServer) -> None:
    with httpx.Client(base_url=server.url, timeout=WAIT) as client:
        for pause in (1.2 * PATIENCE, 0):
            assert client.post("/echo", content=b"x" * 50_000).json() == 50_000
            time.sleep(pause)


def test_a_stream_without_an_end_is_refused_at_the_limit(server: HttpServer) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    with connected(server) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(4096):  # 256 MiB, and more if it liked
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
    assert sent < 64 * 2**20
    assert still_well(server)
