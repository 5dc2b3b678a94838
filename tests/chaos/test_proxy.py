"""The fault proxy does to connections what it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import HOST, Mode, Proxy

SECONDS = 60.0  # until what must come has come, on a busy machine


class Echo:
    """Answers with what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = b""
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    made = Proxy(echo.port)
    yield made
    made.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection through it that has been used once."""
    with socket.create_connection((HOST, proxy.port), SECONDS) as connection:
        assert said(connection, b"one") == b"one"
        yield connection


def said(connection: socket.socket, words: bytes) -> bytes:
    """The answer, of the same length."""
    connection.sendall(words)
    return heard(connection, len(words))


def heard(connection: socket.socket, count: int) -> bytes:
    answer = b""
    while len(answer) < count and (data := connection.recv(1 << 16)):
        answer += data
    return answer


def nothing_comes(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b"?"
    except TimeoutError:
        return True
    finally:
        connection.settimeout(SECONDS)


def test_a_half_open_connection_is_silent_until_it_is_whole_again(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    proxy.switch(Mode.HALF_OPEN)
    client.sendall(b"two")
    with socket.create_connection((HOST, proxy.port), SECONDS) as late:  # accepted
        late.sendall(b"three")
        assert nothing_comes(client)
        assert nothing_comes(late)
        assert echo.got == b"one"
        proxy.switch(Mode.PASS)
        assert heard(client, 3) == b"two"
        assert heard(late, 5) == b"three"


def test_one_way_what_is_sent_arrives_and_the_answer_does_not(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.switch(Mode.ONE_WAY)
    client.sendall(b"two")
    deadline = time.monotonic() + SECONDS
    while echo.got != b"onetwo":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert nothing_comes(client)
    proxy.switch(Mode.PASS)
    assert heard(client, 3) == b"two"


def test_cut_connections_end_and_new_ones_too(proxy: Proxy, client: socket.socket) -> None:
    proxy.switch(Mode.CUT)
    assert client.recv(1) == b""
    with socket.create_connection((HOST, proxy.port), SECONDS) as late:
        assert late.recv(1) == b""
    proxy.switch(Mode.PASS)
    with socket.create_connection((HOST, proxy.port), SECONDS) as again:
        assert said(again, b"two") == b"two"


def test_reset_connections_are_reset(proxy: Proxy, client: socket.socket) -> None:
    proxy.switch(Mode.RESET)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_connection_to_what_is_away_ends() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))  # and nobody listens
        proxy = Proxy(taken.getsockname()[1])
        try:
            with socket.create_connection((HOST, proxy.port), SECONDS) as connection:
                assert connection.recv(1) == b""
        finally:
            proxy.close()


def test_delay_and_rate_slow_it_down(proxy: Proxy, client: socket.socket) -> None:
    for proxy.delay, proxy.rate in ((0.1, 0), (0.0, 100)):
        began = time.monotonic()
        assert said(client, b"x" * 10) == b"x" * 10
        assert time.monotonic() - began >= 0.19  # 0.1 s each way


def test_a_bit_of_as_many_answers_as_asked_is_turned_over(proxy: Proxy, client: socket.socket) -> None:
    proxy.flips = 1
    sent = bytes(2000)
    answer = said(client, sent)
    assert sum(bin(byte).count("1") for byte in answer) == 1
    assert said(client, sent) == sent
