"""Every service as a process of its own, with a real Kafka between them, keys at the doors, and all of it on loopback."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from spanstream.client import Client, Receipt, config
from spanstream.encoder import wire
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Outgoing
from spanstream.eventlog.opening import open_log
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.runtime.identity import DEFAULT_TENANT
from spanstream.runtime.key_file import create_key
from tests.fixtures.process import Process
from tests.fixtures.product import free_port

# A killed consumer is missed only after its session of 45 s; until then its partitions stand still.
SETTLE_SECONDS = 150.0
DIMENSION = 384  # of the packaged model


@dataclass
class Cluster:
    """The processes and their addresses."""

    folder: Path
    gateway: str
    ingestor: str
    encoder: str
    log_url: str
    token: str
    processes: dict[str, Process]

    def client(self) -> Client:
        return Client(self.gateway, ingest_url=self.ingestor, api_key=self.token)

    def start(self, name: str, command: list[str], **environment: str) -> Process:
        """Start a service; returns at once."""
        shared = {"LOG_URL": self.log_url, "ENCODER_URL": self.encoder, "ADMIN_PORT": str(free_port())}
        self.processes[name] = made = Process(name, command, shared | environment, self.folder)
        return made

    def start_embedder(self, encoder: str | None = None) -> Process:
        return self.start("embedder", ["spanstream.embedder"], ENCODER_URL=encoder or self.encoder)


@pytest.fixture(scope="module")
def cluster(kafka_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("processes")
    keys, data = folder / "data" / "keys.json", folder / "data"
    data.mkdir()
    token = create_key(keys, "local", DEFAULT_TENANT)
    ports = {name: free_port() for name in ("gateway", "ingestor", "encoder", "admin")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    config.save(data, {"url": urls["gateway"], "api_key": token})  # or `up` would make a key of its own
    log = open_log(kafka_url)
    log.ensure_topics(ALL)
    log.close()

    made = Cluster(folder, urls["gateway"], urls["ingestor"], urls["encoder"], kafka_url, token, {})
    try:
        made.start("encoder", ["spanstream.embedder.application"], ENCODER_PORT=str(ports["encoder"]))
        made.start_embedder()
        made.start(
            "ingestor",
            ["spanstream.ingestor"],
            INGESTOR_HTTP_PORT=str(ports["ingestor"]),
            INGESTOR_GATEWAY_URL=urls["gateway"],
            AUTH_KEYS_FILE=str(keys),
            BLOB_URL=f"file:{folder / 'blobs'}",
        )
        # The engine in a folder lets one process open it: indexer and gateway together.
        options = ["--port", str(ports["gateway"]), "--admin-port", str(ports["admin"]), "--data", str(data)]
        options += ["--no-samples", "--log-to", "stderr"]
        up = ["spanstream.client", "up", "--target", "indexer,gateway", *options]
        made.start("indexer,gateway", up, ADMIN_PORT=str(ports["admin"]))
        for process in made.processes.values():
            process.wait_ready()
        yield made
    finally:
        for name in ("ingestor", "embedder", "indexer,gateway", "encoder"):
            if name in made.processes:
                made.processes[name].stop()


@pytest.mark.promise("I1", "I5")
def test_a_killed_embedder_worker_is_replaced_and_nothing_is_lost(cluster: Cluster) -> None:
    documents = [
        {"_id": str(number), "text": f"Lantern number {number} hangs in the harbour. " * 20} for number in range(100)
    ]
    receipts: list[Receipt] = []
    with cluster.client() as client:
        client.ingest("lanterns", documents, wait=False, on_receipt=receipts.append)
        assert len(receipts) == 100
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (done := _searchable(client, "lanterns")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert cluster.processes["embedder"].end(signal.SIGKILL) == -signal.SIGKILL
        assert done < 100, "the kill came too late to test anything"
        cluster.start_embedder().wait_ready()
        assert client.wait_searchable(receipts, timeout=SETTLE_SECONDS) == ()
        assert _searchable(client, "lanterns") == 100
        (hit,) = client.search("number 77 lantern", mode="lexical", limit=1).hits
        assert (hit.source, hit.id) == ("lanterns", "77")


def _searchable(client: Client, source: str) -> int:
    return sum(each.documents for each in client.sources() if each.name == source)


def test_status_is_answered_by_the_ingestor_too_and_search_by_the_gateway(cluster: Cluster) -> None:
    with cluster.client() as client:
        report = client.ingest("clocks", [{"_id": "a/b", "text": "The tower clock is eleven minutes slow."}])
        assert (report.counts.searchable, report.failures) == (1, ())
        (hit,) = client.search("how late is the clock", sources=["clocks"]).hits
        assert hit.passages[0].spans[0].text == "The tower clock is eleven minutes slow."
    headers = {"authorization": f"Bearer {cluster.token}"}
    asked = httpx.get(f"{cluster.ingestor}/v1/sources/clocks/documents/a%2Fb", params={"wait": 1}, headers=headers)
    assert (asked.status_code, asked.json()["state"]) == (200, "searchable")
    for url in (cluster.ingestor, cluster.gateway):
        assert httpx.get(f"{url}/v1/sources/clocks/documents/a%2Fb").status_code == 401


def test_the_same_again_is_unchanged_because_the_gateway_knows_it(cluster: Cluster) -> None:
    item = {"_id": "same", "text": "Granite is hard."}
    with cluster.client() as client:
        assert client.ingest("stones", [item]).counts.unchanged == 0
        deadline = time.monotonic() + 60
        while not client.ingest("stones", [item]).counts.unchanged:  # known once the indexer has committed: a second
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_an_event_published_straight_to_kafka_is_found(cluster: Cluster) -> None:
    key = Key(DEFAULT_TENANT, "direct", "one")
    event = DocumentEvent(
        tenant=key.tenant, source=key.source, id=key.id, version=7, operation=OPERATION_UPSERT, text="Amber floats."
    )
    log = open_log(cluster.log_url)
    producer = log.producer()
    try:
        producer.publish([Outgoing(DOCUMENTS.name, key.encode(), event.SerializeToString())])  # no headers
    finally:
        producer.close()
        log.close()
    with cluster.client() as client:
        assert client.status("direct", "one", version=7, wait=60).state == "searchable"
        (hit,) = client.search("amber", mode="lexical", sources=["direct"]).hits
        assert (hit.id, hit.version) == ("one", 7)


def test_every_process_says_how_it_is(cluster: Cluster) -> None:
    counted = {
        "encoder": "encoder_tokens_total",
        "embedder": "consumer_messages_published_total",
        "ingestor": "ingestor_documents_parsed_total",
        "indexer,gateway": "indexer_documents_total",
    }
    for name, process in cluster.processes.items():
        for path in ("/livez", "/readyz"):
            assert httpx.get(process.admin + path).status_code == 200, (name, path)
        lines = httpx.get(process.admin + "/metrics").text.splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(counted[name])]
        assert sum(values) > 0, name


class _WrongSize(BaseHTTPRequestHandler):
    """An encoder that says one size and answers another, for texts about zeppelins."""

    encoder = HashEncoder(DIMENSION)
    too_small = HashEncoder(DIMENSION - 1)
    release = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        info = self.encoder.info()
        said = {"release": self.release, "dimension": DIMENSION, "max_tokens": info.max_tokens}
        self._answer(json.dumps(said | {"dtype": "float32", "device": "cpu"}).encode(), "application/json")

    def do_POST(self) -> None:
        texts = wire.unpack_request(self.rfile.read(int(self.headers["content-length"])))
        wrong = any("Zeppelin" in text.text for text in texts)
        encoder = self.too_small if wrong else self.encoder
        self._answer(wire.pack_response(encoder.encode(texts), encoder.info().dimension), wire.MEDIA_TYPE)

    def _answer(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def _wrong_size(release: str) -> Iterator[str]:
    _WrongSize.release = release
    with ThreadingHTTPServer(("127.0.0.1", 0), _WrongSize) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_vectors_of_a_wrong_size_fail_their_document_and_no_other(cluster: Cluster) -> None:
    cluster.processes["embedder"].stop()
    release = httpx.get(f"{cluster.encoder}/v1/info").json()["release"]
    with _wrong_size(release) as url:
        scripted = cluster.start_embedder(url)
        scripted.wait_ready()
        items = [{"_id": str(n), "text": "A Zeppelin." if n == 5 else f"Balloon {n} rises."} for n in range(10)]
        with cluster.client() as client:
            report = client.ingest("sizes", items, stall=60)
            assert report.counts.searchable == 9
            (failure,) = report.failures
            assert (failure.id, failure.stage, failure.reason) == ("5", "embedder", "EMBED_INVALID")
        scripted.stop()
    cluster.start_embedder().wait_ready()
