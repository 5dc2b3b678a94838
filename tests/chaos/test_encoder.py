"""An encoder over HTTP that crashes, hangs, has no room, and answers nonsense."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.opening import open_log
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.stage import DIMENSION, judged, settle
from tests.chaos.traffic import Traffic, World
from tests.fixtures import here

NONSENSE = ("numbers", "size", "count", "bytes")


class Scripted(BaseHTTPRequestHandler):
    """The tests' encoder; of a text with one of the words of NONSENSE something is wrong with that."""

    protocol_version = "HTTP/1.1"
    encoder = HashEncoder(DIMENSION)
    small = HashEncoder(DIMENSION - 1)
    busy = 0  # so many of the next requests are told to come again

    def do_GET(self) -> None:
        info = self.encoder.info()
        said = {name: getattr(info, name) for name in ("release", "dimension", "max_tokens", "dtype", "device")}
        self._answer(200, json.dumps(said).encode(), "application/json")

    def do_POST(self) -> None:
        texts = wire.unpack_request(self.rfile.read(int(self.headers["content-length"])))
        if Scripted.busy:
            Scripted.busy -= 1
            return self._answer(503, b"{}", "application/problem+json")
        words = {word for word in NONSENSE for text in texts if f"wrong {word}" in text.text}
        dimension = DIMENSION - 1 if "size" in words else DIMENSION
        encoded = (self.small if "size" in words else self.encoder).encode(texts)
        if "numbers" in words:
            encoded = [_not_a_number(one) for one in encoded]
        body = wire.pack_response(encoded[1:] if "count" in words else encoded, dimension)
        return self._answer(200, body[: len(body) // 2] if "bytes" in words else body, wire.MEDIA_TYPE)

    def _answer(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        if status == 503:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def _not_a_number(encoded: Encoded) -> Encoded:
    return replace(encoded, whole=np.full_like(encoded.whole, np.nan))


@pytest.fixture
def encoder() -> Iterator[Proxy]:
    """The way to it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server, ExitStack() as stack:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        proxy = Proxy(server.server_port)
        stack.callback(proxy.close)
        yield proxy


@pytest.mark.promise("I1", "I5", "I14")
def test_an_encoder_that_crashes_hangs_or_has_no_room_is_waited_for(encoder: Proxy, tmp_path: Path) -> None:
    log, world = open_log(f"memory:{tmp_path}"), World("waiting", 15)
    with ExitStack() as stack:
        product = stack.enter_context(here.running(tmp_path, f"http://127.0.0.1:{encoder.port}"))
        traffic = Traffic(world, product.url, product.key, seed=1)
        traffic.start()
        for mode in (Mode.RESET, Mode.HALF_OPEN, Mode.CUT, Mode.ONE_WAY):
            traffic.wait(5)
            encoder.switch(mode)
            traffic.wait(10)  # what is accepted waits in the log
            encoder.switch(Mode.PASS)
        Scripted.busy = 20
        traffic.wait(10)
        traffic.stop()
        assert judged(world, log, product.url, product.key, tmp_path, stop=stack.close) == []
    assert world.notes.history.dead_letters == []


@pytest.mark.promise("I14")
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_about_one_document_fails_it_and_no_other(encoder: Proxy, tmp_path: Path, nonsense: str) -> None:
    """B19 of the bad input. That two texts' vectors were exchanged no client can see, unless they have other numbers of spans."""
    with here.running(tmp_path, f"http://127.0.0.1:{encoder.port}") as product, product.client() as client:
        texts = [f"Balloon {number} rises." for number in range(8)]
        texts[3] = f"Of this balloon the {nonsense} are told by wrong {nonsense}."
        report = client.ingest("air", [{"_id": str(n), "text": text} for n, text in enumerate(texts)], stall=120)
        settle(open_log(f"memory:{tmp_path}"))
        assert report.counts.searchable == 7
        [failure] = report.failures
        assert (failure.id, failure.stage, failure.reason) == ("3", "embedder", "EMBED_INVALID")
        shown = client.search("balloon", mode="lexical", limit=10).hits
        assert {hit.id for hit in shown} == {str(number) for number in range(8)} - {"3"}
