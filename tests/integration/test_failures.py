"""The dead-letter workbench with the whole pipeline around it, on the memory log and on a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from spanstream.client import Client, Document, NotFound, Unauthorised
from spanstream.embedder import service as embedder
from spanstream.embedder.settings import EmbedderSettings
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Log, Outgoing
from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.opening import open_log
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED
from spanstream.gateway import service as gateway
from spanstream.gateway.settings import GatewaySettings
from spanstream.indexer import service as indexer
from spanstream.indexer.settings import IndexerSettings
from spanstream.ingestor import service as ingestor
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.http import HttpServer
from spanstream.runtime.key_file import create_key
from spanstream.runtime.service import Service
from spanstream.store.edge import EdgeStore

DIMENSION = 64
SECONDS = 60.0
MARKDOWN = "text/markdown"


class Mended(Parser):
    """A parser that reads nothing until it is mended."""

    broken = True

    def start(self) -> None:
        """Needs no child process here."""

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        if self.broken:
            raise ParseError(REASON_PARSE_FAILED, "a fault of this parser")
        return super().parse(kind, data)


class World:
    """The services in this process, and clients of two tenants."""

    def __init__(self, log: Log, folder: Path, stack: ExitStack) -> None:
        self.log = log
        self.tenant, self.other = f"acme-{time.time_ns()}", f"other-{time.time_ns()}"
        keys = folder / "keys.json"
        tokens = [create_key(keys, name, name) for name in (self.tenant, self.other)]
        reading = create_key(keys, "reads", self.tenant, frozenset({"read"}))
        self.parser = Mended(Limits())
        http, encoder, store = HttpServer("test", "127.0.0.1", 0), HashEncoder(DIMENSION), EdgeStore(folder / "store")
        shared: dict[str, Any] = {"log_url": "memory:", "encoder_url": "hash:64"}
        accept = IngestorSettings(log_url="memory:", blob_url=f"file:{folder}/blobs", auth_keys_file=str(keys))
        search = GatewaySettings(store_url="edge:/none", encoder_url="hash:64", auth_keys_file=str(keys))
        services: list[Service] = [
            indexer.build(IndexerSettings(store_url="edge:/none", **shared), log=log, store=store, encoder=encoder),
            embedder.build(EmbedderSettings(**shared), log=log, encoder=encoder, loops=1),
            ingestor.build(accept, log=log, http=http, parser=self.parser),
            gateway.build(search, store=store, encoder=encoder, http=http),
            http,
        ]
        stack.callback(store.close)
        failures: list[BaseException] = []
        for service in services:
            service.start(failures.append)
            stack.callback(service.stop, time.monotonic() + 600)
        until(lambda: not any(service.unready() for service in services))
        stack.callback(lambda: _none(failures))
        self.mine, self.theirs, self.reader = (
            stack.enter_context(Client(http.url, api_key=token)) for token in (*tokens, reading)
        )

    def write(self, id: str, version: int, text: str) -> None:
        """As a producer of its own does."""
        event = DocumentEvent(
            tenant=self.tenant,
            source="wiki",
            id=id,
            version=version,
            operation=OPERATION_UPSERT,
            text=text,
            content_type=MARKDOWN,
        )
        key = Key(self.tenant, "wiki", id).encode()
        producer = self.log.producer()
        producer.publish([Outgoing(DOCUMENTS.name, key, event.SerializeToString(), headers(event))])
        producer.close()

    def state(self, id: str, version: int | None = None) -> str:
        try:
            return self.mine.status("wiki", id, version=version).state
        except NotFound:
            return "unknown"

    def groups(self, client: Client) -> dict[str, int]:
        return {group.fingerprint: group.count for group in client.failures.groups().groups}


def _none(failures: list[BaseException]) -> None:
    assert not failures


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def opened(name: str, request: pytest.FixtureRequest) -> Iterator[Log]:
    log = MemoryLog() if name == "memory" else open_log(request.getfixturevalue("kafka_url"))
    log.ensure_topics(ALL)
    yield log
    log.close()


@pytest.fixture(params=["memory", "kafka"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack.enter_context(opened(request.param, request)), tmp_path, stack)


def test_what_failed_is_listed_replayed_after_a_fix_and_then_found(world: World) -> None:
    ids = [f"tides/{n}" for n in range(30)]
    for id in ids:
        world.mine.put("wiki", Document(id, "The moon pulls the tides.", version=5, content_type=MARKDOWN))
    until(lambda: sum(world.groups(world.mine).values()) == 30)
    until(lambda: all(world.state(id) == "failed" for id in ids))
    (group,) = world.mine.failures.groups().groups
    assert (group.stage, group.reason, group.documents) == ("ingestor", "PARSE_FAILED", 30)
    assert group.first_at_us <= group.last_at_us
    assert world.groups(world.theirs) == {}
    with pytest.raises(NotFound):
        world.theirs.failures.replay(group.fingerprint)
    with pytest.raises(Unauthorised):
        world.reader.failures.discard(group.fingerprint)

    assert world.mine.failures.replay(group.fingerprint, dry_run=True).done == 30
    told = world.mine.failures.replay(group.fingerprint, limit=2)  # too early: they fail again
    assert told.done == 2
    until(lambda: world.groups(world.mine) == {group.fingerprint: 30})
    again = [row for row in world.mine.failures.show(group.fingerprint).records if row.replays == 1]
    assert len(again) == 2

    world.parser.broken = False
    assert world.mine.failures.replay(group.fingerprint, rate_per_second=200).done == 30
    until(lambda: all(world.state(id, 5) == "searchable" for id in ids))
    assert world.groups(world.mine) == {}
    assert {hit.id for hit in world.mine.search("moon pulls", limit=50).hits} == set(ids)
    with pytest.raises(NotFound):
        world.mine.failures.replay(group.fingerprint)


@pytest.mark.promise("I12")
def test_an_old_version_that_is_replayed_never_overwrites_a_newer_one(world: World) -> None:
    for id in ("a", "b"):
        world.write(id, 3, "The old tides.")
    until(lambda: sum(world.groups(world.mine).values()) == 2)
    (fingerprint,) = world.groups(world.mine)
    world.mine.failures.show(fingerprint)
    world.parser.broken = False
    world.write("a", 7, "The new moon.")
    until(lambda: world.state("a", 7) == "searchable")
    until(lambda: world.groups(world.mine) == {fingerprint: 1})  # a's was outrun
    (left,) = world.mine.failures.show(fingerprint).records
    assert left.document == "b"
    assert world.mine.failures.replay(fingerprint).done == 1
    until(lambda: world.state("b", 3) == "searchable")
    for _ in range(3):  # a replay that was repeated by a crash: the very same records again
        world.write("a", 3, "The old tides.")
        world.write("b", 3, "The old tides.")
    world.write("last", 1, "Sand.")
    until(lambda: world.state("last", 1) == "searchable")
    until(lambda: world.state("b", 3) == "searchable")
    assert world.mine.status("wiki", "a").version == 7
    texts = {hit.id: hit.passages[0].text for hit in world.mine.search("tides moon", limit=9).hits}
    assert (texts["a"], texts["b"]) == ("The new moon.", "The old tides.")
    assert world.groups(world.mine) == {}


def test_what_is_discarded_is_listed_no_more_and_stays_failed(world: World) -> None:
    for id in ("a", "b", "c"):
        world.write(id, 1, "Tides.")
    until(lambda: sum(world.groups(world.mine).values()) == 3)
    (fingerprint,) = world.groups(world.mine)
    first = world.mine.failures.show(fingerprint).records[0]
    assert world.mine.failures.discard(fingerprint, ids=[first.id]).done == 1
    assert world.groups(world.mine) == {fingerprint: 2}
    assert world.mine.failures.discard(fingerprint).done == 2
    assert world.groups(world.mine) == {}
    until(lambda: all(world.state(id) == "failed" for id in ("a", "b", "c")))
    world.parser.broken = False
    world.write(first.document, 2, "Moons.")  # a document goes on as ever
    until(lambda: world.state(first.document, 2) == "searchable")
    assert world.groups(world.mine) == {}


def test_thousands_of_failures_are_listed_and_replayed(world: World) -> None:
    count = 3_000
    events = [
        DocumentEvent(
            tenant=world.tenant,
            source="wiki",
            id=f"{n}",
            version=1,
            operation=OPERATION_UPSERT,
            text="Tides.",
            content_type=MARKDOWN,
        )
        for n in range(count)
    ]
    producer = world.log.producer()
    for start in range(0, count, 500):
        part = events[start : start + 500]
        producer.publish(
            [
                Outgoing(DOCUMENTS.name, Key(*_key(each)).encode(), each.SerializeToString(), headers(each))
                for each in part
            ]
        )
    producer.close()
    until(lambda: sum(world.groups(world.mine).values()) == count)
    (fingerprint,) = world.groups(world.mine)
    assert world.mine.failures.discard(fingerprint, limit=count - 400).done == count - 400
    world.parser.broken = False
    assert world.mine.failures.replay(fingerprint, rate_per_second=1000).done == 400
    until(lambda: world.mine.search("tides", limit=1, facets={"source": 1}).facets["source"] == (("wiki", 400),))
    assert world.groups(world.mine) == {}


def _key(event: DocumentEvent) -> tuple[str, str, str]:
    return event.tenant, event.source, event.id
