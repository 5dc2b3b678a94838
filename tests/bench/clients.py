"""What a process of clients does to an encoder service: all at once, at a steady rate, or bulk. One thread a client.

The client is the same plain one for every server, so that none is measured through a better one.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder import wire
from spanstream.encoder.encoder import Text

NONE = np.empty((0, 2), np.int32)
PATIENCE = 5.0  # seconds of Retry-After in all, then a client gives up: as the product's own
TIMEOUT = 60.0  # seconds for one answer
BUSY = frozenset({429, 503})

_stop: Event


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: one text, or several of a bulk client; `query`: someone waits for it. Only ours knows the difference."""

    texts: list[str]
    query: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server on this machine takes requests; `binary`: in the product's wire format, else JSON, one text each."""

    port: int
    path: str
    binary: bool

    def request(self, asked: Asked) -> tuple[str, bytes, str]:
        """Path, body and content type."""
        if not self.binary:
            (text,) = asked.texts
            return self.path, json.dumps({"text": text}).encode(), "application/json"
        body = wire.pack_request([Text(text, NONE) for text in asked.texts])
        return f"{self.path}?query={str(asked.query).lower()}", body, wire.MEDIA_TYPE

    def vectors(self, body: bytes) -> NDArray[np.float32]:
        """Of an answer, [texts, dimension]."""
        if not self.binary:
            return np.array([json.loads(body)["vector"]], np.float32)
        return np.stack([each.whole for each in wire.unpack_response(body)])


@dataclass(slots=True)
class Answers:
    """What clients got, in the order in which it came: of `numbers[i]` the vectors `vectors[i]`, after `seconds[i]`.

    `retried`: answers 503, each followed by the wait it asked for; `refused`: requests given up after that; `lost`: without
    a right answer or a refusal. `ended`: of the last, on `perf_counter`, which all processes share.
    """

    numbers: list[int] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    retried: int = 0
    refused: int = 0
    lost: int = 0
    ended: float = 0.0

    def add(self, other: Answers) -> None:
        """Those of other clients too."""
        self.numbers += other.numbers
        self.vectors += other.vectors
        self.seconds += other.seconds
        self.retried += other.retried
        self.refused += other.refused
        self.lost += other.lost
        self.ended = max(self.ended, other.ended)


class Client:
    """One connection and what it got. For one thread."""

    def __init__(self, address: Address) -> None:
        """Connect."""
        self.answers = Answers()
        self._address = address
        self._connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=TIMEOUT)
        self._connection.connect()

    def ask(self, number: int, asked: Asked, since: float | None = None) -> None:
        """Ask until it is answered or given up; `since`: when it was due, if that was not now."""
        begun = time.perf_counter() if since is None else since
        path, body, kind = self._address.request(asked)
        waited = 0.0
        try:
            while True:
                self._connection.request("POST", path, body, {"Content-Type": kind})
                response = self._connection.getresponse()
                content, after = response.read(), response.getheader("Retry-After")
                if response.status == 200:
                    self.answers.vectors.append(self._address.vectors(content))
                    self.answers.numbers.append(number)
                    self.answers.seconds.append(time.perf_counter() - begun)
                    return
                if response.status not in BUSY or after is None:
                    self.answers.lost += 1
                    return
                self.answers.retried += 1
                if waited + float(after) > PATIENCE:
                    self.answers.refused += 1
                    return
                waited += float(after)
                time.sleep(float(after))
        except (OSError, http.client.HTTPException):
            self.answers.lost += 1
            self._connection.close()  # the next request opens it again
        finally:
            self.answers.ended = time.perf_counter()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def at_once(address: Address, requests: Sequence[Sequence[tuple[int, Asked]]], begin: float) -> Answers:
    """A client per list of numbered requests sends them one after the other, from `begin` (`perf_counter`) on."""

    def work(place: int, client: Client) -> None:
        _sleep_until(begin)
        for number, asked in requests[place]:
            client.ask(number, asked)

    return _together(address, len(requests), work)


def steady(address: Address, requests: Sequence[Asked], per_second: float, clients: int, begin: float) -> Answers:
    """Requests at a fixed rate from `begin` on, each by the client whose turn it is, timed from when it was due."""

    def work(place: int, client: Client) -> None:
        for number in range(place, len(requests), clients):
            due = begin + number / per_second
            _sleep_until(due)
            client.ask(number, requests[number], since=due)

    return _together(address, clients, work)


def share(stop: Event) -> None:
    """Set up a process of a pool: `bulk` there ends when `stop` is set. An event reaches a process only as it starts."""
    global _stop
    _stop = stop


def bulk(address: Address, requests: Sequence[Asked], clients: int) -> Answers:
    """Clients that send these requests over and over, back to back, each at least once, until told to stop (see `share`)."""

    def work(place: int, client: Client) -> None:
        number = place
        while number == place or not _stop.is_set():
            client.ask(number % len(requests), requests[number % len(requests)])
            number += clients

    return _together(address, clients, work)


def _together(address: Address, count: int, work: Callable[[int, Client], None]) -> Answers:
    clients = [Client(address) for _ in range(count)]
    threads = [threading.Thread(target=work, args=each) for each in enumerate(clients)]
    for thread in threads:
        thread.start()
    everything = Answers()
    for thread, client in zip(threads, clients, strict=True):
        thread.join()
        client.close()
        everything.add(client.answers)
    return everything


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))
