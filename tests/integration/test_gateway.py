"""The gateway as a service: real HTTP, the real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from spanstream.encoder.encoder import EncoderInfo
from spanstream.encoder.hashing import HashEncoder
from spanstream.gateway.service import build
from spanstream.gateway.settings import GatewaySettings
from spanstream.runtime.http import HttpServer
from spanstream.runtime.service import Service
from spanstream.store.compression import Compression
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus, document
from tests.unit.indexer.documents import DIMENSION, Document

SETTINGS = GatewaySettings(store_url="edge:/nowhere", encoder_url=f"hash:{DIMENSION}", http_port=0)


def mine(each: Document) -> Document:
    return replace(each, key=each.key._replace(tenant="default"))


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    corpus = Corpus(tmp_path)
    corpus.put(*map(mine, (FISH, BIRD, TREE)))
    yield corpus
    corpus.store.close()


@pytest.fixture
def client(corpus: Corpus) -> Iterator[httpx.Client]:
    http = HttpServer("gateway", "127.0.0.1", 0)
    failures: list[BaseException] = []
    service = build(SETTINGS, store=corpus.store, encoder=HashEncoder(DIMENSION), http=http)
    services: list[Service] = [service, http]
    for each in services:
        each.start(failures.append)
    until_ready(service)
    with httpx.Client(base_url=http.url, timeout=90) as client:
        yield client
    for each in reversed(services):
        each.stop(time.monotonic() + 10)
    assert failures == []


def until_ready(service: Service) -> None:
    deadline = time.monotonic() + 60
    while service.unready():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_search_over_http(client: httpx.Client) -> None:
    answer = client.post("/v1/search", json={"query": "returns in spring", "limit": 1}).json()
    assert [hit["id"] for hit in answer["hits"]] == ["bird"]
    assert answer["hits"][0]["passages"][0]["spans"][0]["text"] == "It returns in spring."


@pytest.mark.parametrize(
    "id", ["a/b", "/", "a//b/", "50%", "%2F", "%", "a b", "ä/漢字/🐟", "?x=1#y", "documents:status", "+"]
)
def test_id_of_any_characters_is_found_under_its_path(client: httpx.Client, corpus: Corpus, id: str) -> None:
    corpus.put(mine(document(id, ["Some words."])))
    answer = client.get(f"/v1/sources/wiki/documents/{quote(id, safe='')}", params={"version": 1})
    assert (answer.json()["id"], answer.json()["state"]) == (id, "searchable")


@pytest.mark.parametrize("ingest_url", [None, "http://127.0.0.1:9"])
def test_page_and_the_files_it_sends(corpus: Corpus, ingest_url: str | None) -> None:
    http = HttpServer("gateway", "127.0.0.1", 0)
    settings = SETTINGS.model_copy(update={"ingest_url": ingest_url})
    services: list[Service] = [build(settings, store=corpus.store, encoder=HashEncoder(DIMENSION), http=http), http]
    for each in services:
        each.start(lambda error: None)
    try:
        assert httpx.get(http.url).headers["content-type"].startswith("text/html")
        offered = httpx.get(f"{http.url}/openapi.json").json()["paths"]
        assert ("/v1/sources/{source}/files" in offered) == (ingest_url is not None)
        sent = httpx.post(f"{http.url}/v1/sources/notes/files?filename=a.txt", content=b"Bees.")
        assert sent.status_code == (404 if ingest_url is None else 503)
    finally:
        for each in reversed(services):
            each.stop(time.monotonic() + 10)


def test_waiting_does_not_hold_up_searches(client: httpx.Client, corpus: Corpus) -> None:
    with ThreadPoolExecutor(8) as pool:
        path = "/v1/sources/wiki/documents/late"
        waiting = [pool.submit(client.get, path, params={"version": 2, "wait": 30}) for _ in range(6)]
        for _ in range(10):
            assert client.post("/v1/search", json={"query": "fish"}).status_code == 200
        corpus.put(mine(document("late", ["x."], version=2)))
        assert {each.result().json()["state"] for each in waiting} == {"searchable"}


class Compressed(HashEncoder):
    """Of a release that has its index compressed."""

    def info(self) -> EncoderInfo:
        return replace(super().info(), precision="turbo4")


@pytest.mark.parametrize(
    ("encoder", "override", "written"),
    [
        (None, Compression.TURBO4, '"bits4"'),
        (Compressed(DIMENSION), None, '"bits4"'),
        (Compressed(DIMENSION), Compression.BINARY, '"binary"'),
    ],
)
def test_gateway_alone_opens_what_its_settings_name(
    tmp_path: Path, encoder: HashEncoder | None, override: Compression | None, written: str
) -> None:
    settings = SETTINGS.model_copy(update={"store_url": f"edge:{tmp_path}", "store_compression": override})
    service = build(settings, encoder=encoder)
    failures: list[BaseException] = []
    service.start(failures.append)
    until_ready(service)
    http = service.http  # type: ignore[attr-defined]
    assert httpx.get(f"{http.url}/v1/sources").json() == {"sources": []}
    service.stop(time.monotonic() + 10)
    assert not service.live()
    assert failures == []
    [config] = tmp_path.glob("*/passages/edge_config.json")
    assert written in config.read_text()


def test_answers_leave_at_once(client: httpx.Client) -> None:
    """Held back by Nagle's algorithm each would take 40 ms, but for the first few, which the kernel confirms at once."""
    took = [client.post("/v1/search", json={"query": "fish"}).elapsed.total_seconds() for _ in range(60)]
    assert min(took[40:]) < 0.035
