"""What only the store on a server promises: its answers are read strictly, and aliases name the live generation."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreError, StoreRejected, StoreUnavailable
from spanstream.store.opening import open_store
from spanstream.store.server import BATCH_VECTOR_BYTES, NUMBER_BYTES, ServerStore
from tests.fixtures.certificates import certificate
from tests.fixtures.store import DIMENSION, head, passage, unit

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

DONE = {"operation_id": 1, "status": "completed"}


class Scripted(BaseHTTPRequestHandler):
    """Answers as a server that has everything, except that writes of passages get the script's answer."""

    status = 200
    result: Any = None
    retry_after: str | None = None  # of an answer 429
    passages: list[int]  # bytes of each write of passages

    def do_GET(self) -> None:
        if self.path.endswith("/exists"):
            return self._answer(200, {"exists": True})
        if self.path == "/aliases":
            return self._answer(200, {"aliases": []})
        return self._answer(200, COLLECTION)

    def do_PUT(self) -> None:
        self._answer(200, DONE)

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        body = self.rfile.read(size)
        if "/points/batch" in self.path:
            if "passages" in self.path:
                self.passages.append(size)
                self._answer(self.status, self.result)
            else:
                self._answer(200, [DONE])
        elif self.path.split("?")[0].endswith("/points"):
            ids = json.loads(body)["ids"]
            self._answer(200, [{"id": id, "payload": {"version": 2}} for id in ids])
        elif "aliases" in self.path:
            self._answer(200, True)
        else:
            self._answer(200, DONE)

    def _answer(self, status: int, result: Any) -> None:
        body = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if status == 429 and self.retry_after:
            self.send_header("retry-after", self.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


COLLECTION: dict[str, Any] = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "config": {
        "params": {"vectors": {"dense": {"size": DIMENSION, "distance": "Cosine"}}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    },
    "payload_schema": {},
}


@contextmanager
def scripted(
    status: int,
    result: Any,
    passages: list[int] | None = None,
    retry_after: str | None = None,
    shown: Path | None = None,
) -> Iterator[str]:
    """`shown`: its key and certificate; None: without TLS."""
    said = {"status": status, "result": result, "retry_after": retry_after}
    handler = type("Handler", (Scripted,), said | {"passages": [] if passages is None else passages})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http{'s' if shown else ''}://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's key and certificate, and who has signed it."""
    folder = tmp_path_factory.mktemp("authority")
    shown, known = folder / "server.pem", folder / "ca.crt"
    signed, key = certificate()
    shown.write_text(key + signed)
    known.write_text(signed)
    return shown, known


def test_a_server_is_known_by_the_certificates_that_are_named(authority: tuple[Path, Path]) -> None:
    shown, known = authority
    with scripted(200, [DONE], shown=shown) as url:
        store = open_store(url, "key", known)
        store.open("g", DIMENSION, Compression.NONE)
        store.upsert_passages([passage(Key("acme", "wiki", "d"))])
        store.close()
        stranger = open_store(url, "key")
        with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.open("g", DIMENSION, Compression.NONE)
        stranger.close()


def test_openssls_own_variable_names_them_too(authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the chart's migration job is told."""
    shown, known = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    with scripted(200, [DONE], shown=shown) as url:
        store = open_store(url, "key")
        store.open("g", DIMENSION, Compression.NONE)
        store.close()


def test_certificates_that_cannot_be_used_are_refused_by_their_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"STORE_CA_FILE: .*missing\.crt cannot be read \(FileNotFoundError\)"):
        open_store("https://127.0.0.1:1", None, tmp_path / "missing.crt")
    with pytest.raises(ValueError, match="STORE_CA_FILE needs a STORE_URL that begins with https"):
        open_store("http://127.0.0.1:1", None, tmp_path / "missing.crt")


@pytest.mark.parametrize("left", ["documents-next", "passages-next"])
def test_half_a_generation_is_none_and_is_dropped_whole(left: str) -> None:
    client = QdrantClient(":memory:")
    store = ServerStore(client)
    store.open("g", DIMENSION, Compression.NONE)
    store.beside().open("next", DIMENSION, Compression.NONE)
    client.delete_collection("passages-next" if left == "documents-next" else "documents-next")
    assert store.generations() == {"g": True}
    for _ in range(2):
        store.drop("next")
        assert not client.collection_exists(left)
    client.delete_collection("passages-g")
    with pytest.raises(StoreRejected, match="live"):
        store.drop("g")
    assert client.collection_exists("documents-g")


@pytest.mark.parametrize(
    ("status", "result", "error"),
    [
        (200, [{"operation_id": 1, "status": "wait_timeout"}], StoreUnavailable),
        (200, [{"operation_id": 1, "status": "acknowledged"}], StoreUnavailable),
        (400, None, StoreRejected),
        (409, None, StoreRejected),
        (422, None, StoreRejected),
        (401, None, StoreUnavailable),
        (404, None, StoreUnavailable),
        (408, None, StoreUnavailable),
        (429, None, StoreUnavailable),
        (500, None, StoreUnavailable),
        (503, None, StoreUnavailable),
        (507, None, StoreUnavailable),
    ],
)
@pytest.mark.finding(
    "Qdrant: a write that timed out for its caller is answered 200, `wait_timeout`",
    "taken for unknown, on a scripted server",
)
def test_only_completed_is_success(status: int, result: Any, error: type[StoreError]) -> None:
    with scripted(status, result) as url:
        store = open_store(url)
        store.open("g", DIMENSION, Compression.NONE)
        with pytest.raises(error):
            store.upsert_passages([passage(Key("acme", "wiki", "d"))])
        store.close()


@pytest.mark.promise("I14")
@pytest.mark.parametrize("after", ["3", "Wed, 21 Oct 2026 07:28:00 GMT"])
@pytest.mark.finding(
    "qdrant-client: 429 with Retry-After is raised outside of its tree of errors",
    "taken for away, on a scripted server",
)
def test_a_server_that_says_when_to_come_again_is_unavailable(after: str) -> None:
    with scripted(429, None, retry_after=after) as url:
        store = open_store(url)
        store.open("g", DIMENSION, Compression.NONE)
        with pytest.raises(StoreUnavailable, match="429"):
            store.upsert_passages([passage(Key("acme", "wiki", "d"))])
        store.close()


def test_a_completed_write_is_success() -> None:
    with scripted(200, [DONE]) as url:
        store = open_store(url)
        store.open("g", DIMENSION, Compression.NONE)
        store.upsert_passages([passage(Key("acme", "wiki", "d"))])
        store.close()


def test_a_write_of_many_vectors_goes_as_several_requests_of_bounded_size() -> None:
    sizes: list[int] = []
    # Three of these are within a request's bytes, four are not.
    spans = unit(np.random.default_rng(1), BATCH_VECTOR_BYTES // NUMBER_BYTES // DIMENSION // 3 - 10)
    written = [replace(passage(Key("acme", "wiki", "d"), ordinal=i), spans=spans) for i in range(5)]
    with scripted(200, [DONE], sizes) as url:
        store = open_store(url)
        store.open("g", DIMENSION, Compression.NONE)
        store.upsert_passages(written)
        store.close()
    assert len(sizes) == 2
    assert max(sizes) < BATCH_VECTOR_BYTES


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    store = open_store(url)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.open("g", DIMENSION, Compression.NONE)
    assert store.unready()
    store.close()


class Old(QdrantClient):
    """A server before conditional writes: it takes them without their condition."""

    def batch_update_points(self, collection_name: str, update_operations: Any, **options: Any) -> Any:
        for operation in update_operations:
            if isinstance(operation, models.UpsertOperation):
                operation.upsert.update_filter = None
        return super().batch_update_points(collection_name, update_operations, **options)


@pytest.mark.finding(
    "Qdrant: old servers ignore the condition of a write", "refused at the start, on a scripted server"
)
def test_a_server_that_ignores_conditions_is_refused() -> None:
    store = ServerStore(Old(":memory:"))
    with pytest.raises(StoreRejected, match=r"1\.19 or newer"):
        store.open("g", DIMENSION, Compression.NONE)
    store.close()


def test_aliases_name_the_live_generation_and_the_probe_leaves_nothing() -> None:
    client = QdrantClient(":memory:")
    store = ServerStore(client, "team-")
    for generation in ("g1", "g2", "g2"):
        store.open(generation, DIMENSION, Compression.NONE)
        aliases = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}
        assert aliases == {
            "team-documents": f"team-documents-{generation}",
            "team-passages": f"team-passages-{generation}",
        }
        assert client.count(f"team-documents-{generation}").count == 0
    store.flip_heads([head(Key("acme", "wiki", "d"))])
    assert client.count("team-documents").count == 1
    store.close()
