"""What the plain clients of the serving benchmark count: waits, refusals and losses are never left out."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench import clients
from tests.bench.clients import Address, Asked

Said = tuple[int, dict[str, str]]
RIGHT: Said = (200, {})


@contextmanager
def serving(script: Sequence[Said], wait: float = 0.0) -> Iterator[Address]:
    """A server that answers as `script` says, then rightly, each after `wait` seconds."""
    left = list(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            time.sleep(wait)
            status, headers = left.pop(0) if left else RIGHT
            body = json.dumps({"vector": [len(text), 1]}).encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Address(server.server_address[1], "/", binary=False)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("script", "answered", "retried", "refused", "lost"),
    [
        ([], 2, 0, 0, 0),
        ([(503, {"Retry-After": "0"})], 2, 1, 0, 0),
        ([(503, {"Retry-After": "99"})], 1, 1, 1, 0),
        ([(503, {})], 1, 0, 0, 1),
        ([(500, {})], 1, 0, 0, 1),
    ],
    ids=["answered", "waits and asks again", "gives up", "not told when", "failed"],
)
def test_each_request_is_answered_refused_or_lost(
    script: Sequence[Said], answered: int, retried: int, refused: int, lost: int
) -> None:
    requests = [(0, Asked(["a"], query=True)), (1, Asked(["bcd"], query=False))]
    with serving(script) as address:
        found = clients.at_once(address, [requests], begin=0.0)
    assert (len(found.numbers), found.retried, found.refused, found.lost) == (answered, retried, refused, lost)
    assert [vectors[0, 0] for vectors in found.vectors] == [(1, 3)[number] for number in found.numbers]


def test_the_wait_that_a_refusal_asks_for_counts_as_latency() -> None:
    with serving([(503, {"Retry-After": "1"})]) as address:
        found = clients.at_once(address, [[(0, Asked(["a"], query=True))]], begin=0.0)
    assert found.seconds[0] >= 1


def test_a_steady_request_that_began_late_is_timed_from_when_it_was_due() -> None:
    with serving([], wait=0.2) as address:
        found = clients.steady(address, [Asked(["a"], query=True)] * 3, 1000.0, 1, time.perf_counter())
    assert found.seconds[2] >= 0.59  # it waited for both others


def test_bulk_goes_on_until_it_is_told_to_stop() -> None:
    stop = multiprocessing.get_context("spawn").Event()
    clients.share(stop)
    with serving([], wait=0.01) as address, ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        found = pool.submit(clients.bulk, address, [Asked(["a"], query=False)], 2)
        time.sleep(0.3)
        assert not found.done()
        stop.set()
        answers = found.result(10)
    assert len(answers.numbers) > 4
    assert answers.ended >= begun + 0.3
