"""The gateway and the ingest API as their services build them, over what tenants hold; and what an answer cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import standing_id
from spanstream.events.topics import ALL, MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.gateway import service as gateway
from spanstream.gateway.settings import GatewaySettings
from spanstream.indexer.handler import Indexer
from spanstream.ingestor import service as ingestor
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime import admin
from spanstream.runtime.http import HttpServer
from spanstream.runtime.key_file import hash_of
from spanstream.runtime.keys import PREFIX, Key, KeyFile
from spanstream.runtime.service import Service
from spanstream.runtime.settings import AdminSettings
from spanstream.store.edge import EdgeStore
from tests.chaos.isolation.asgi import Answer, call
from tests.chaos.isolation.tenants import (
    FAILED,
    GROUPS,
    SLOTS,
    TENANTS,
    Caller,
    callers,
    canary,
    document,
    id_of,
    key_of,
    name,
    probe,
)
from tests.unit.indexer.documents import DIMENSION, GENERATION, failed
from tests.unit.indexer.stores import open_edge
from tests.unit.ingestor import failing

SCOPES = frozenset({"read", "write"})
READY_SECONDS = 60
QUERIES = ("news", "alerts")  # names of standing queries that every caller has matches of
LAST = "last"  # a match that each caller has as its last one


def write_keys(path: Path) -> None:
    """A key for every caller; its secret is its id."""
    keys = [
        Key(
            id=caller.key_id,
            tenant=name(caller.tenant),
            scopes=SCOPES,
            sha256=hash_of(caller.key_id),
            groups=None if caller.groups is None else frozenset(caller.groups),
            sources=None if caller.sources is None else frozenset(caller.sources),
        )
        for tenant in range(TENANTS)
        for caller in callers(tenant)
    ]
    path.write_text(KeyFile(keys=tuple(keys)).model_dump_json(exclude_none=True))


def bearer(caller: Caller) -> str:
    """As a request carries it."""
    return f"Bearer {PREFIX}{caller.key_id}_{caller.key_id}"


class Store:
    """The store in use, whose calls are noted by name: they are what an answer's time consists of."""

    def __init__(self, store: EdgeStore) -> None:
        self.store = store
        self.calls: list[str] = []

    def __getattr__(self, attribute: str) -> Any:
        if attribute not in ("ready", "standing"):  # asked in the background, too
            self.calls.append(attribute)
        return getattr(self.store, attribute)


# Of a request whose work is compared with nothing: one with a deadline leaves the encoder at work when it is answered, which must not
# count for the next.
COMPARED: ContextVar[bool] = ContextVar("compared", default=True)


class Encoder(HashEncoder):
    """Notes how many texts it is asked for."""

    asked = 0

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.asked += len(texts) if COMPARED.get() else 0
        return super().encode(texts, query=query)


def filled(folder: Path, held: Iterable[tuple[int, str]]) -> EdgeStore:
    """A store with these documents, indexed as the product does."""
    store = open_edge(folder)
    records = [record for each in held for record in _records(*each)]
    assert Indexer(store, GENERATION, lambda: 1)(records) == []
    return store


def _records(tenant: int, slot: str) -> list[Record]:
    return [failed(key_of(tenant, slot), 3)] if slot == FAILED else document(tenant, slot).records()


class World:
    """One gateway over a store, which may be put in another's place."""

    def __init__(self, folder: Path, keys: Path, store: EdgeStore) -> None:
        self.store, self.encoder = Store(store), Encoder(DIMENSION)
        self.settings: dict[str, Any] = {"auth_keys_file": str(keys), "auth_audit_file": str(folder / "audit.jsonl")}
        self._http = HttpServer("gateway", "127.0.0.1", 0)
        search = GatewaySettings(store_url="edge:/nowhere", encoder_url="hash:", **self.settings)
        store_port: Any = self.store
        self.services: list[Service] = [gateway.build(search, store=store_port, encoder=self.encoder, http=self._http)]
        self.servers = [self._http]
        self.services[0].start(lambda error: None)
        deadline = time.monotonic() + READY_SECONDS
        while self.services[0].unready():
            assert time.monotonic() < deadline
            threading.Event().wait(0.005)

    def work(self) -> tuple[tuple[str, ...], int]:
        """What was asked of the neighbours since the last time."""
        done = tuple(self.store.calls), self.encoder.asked
        self.store.calls.clear()
        self.encoder.asked = 0
        return done

    async def search(self, caller: Caller, method: str, target: str, headers: Any = (), body: bytes = b"") -> Answer:
        """Of the gateway."""
        return await call(self._http.app, method, target, dict(headers) | {"authorization": bearer(caller)}, body)

    def close(self) -> None:
        """Everything."""
        for each in [*self.services, *self.servers]:
            each.stop(time.monotonic() + 10)
        self.store.store.close()


class Everyone(World):
    """All tenants together: also with their dead letters, their matches and the admin port."""

    def __init__(self, folder: Path, keys: Path, tenants: int) -> None:
        held = [(tenant, slot) for tenant in range(tenants) for slot in (*SLOTS, FAILED)]
        super().__init__(folder, keys, filled(folder / "everyone", held))
        self.tenants = tenants
        self.log = MemoryLog()
        self.log.ensure_topics(ALL)
        server = HttpServer("ingestor", "127.0.0.1", 0)
        settings = IngestorSettings(
            log_url="memory:", blob_url=f"file:{folder}/blobs", roles="api", max_match_streams=64, **self.settings
        )
        self.services.append(ingestor.build(settings, log=self.log, http=server))
        admin_server = admin.build(AdminSettings(port=0), self.services, [settings])
        self.servers += [server, admin_server]
        self._ingest, self._admin = server.app, admin_server.app
        self._fail()
        self._match()

    async def ingest(
        self, caller: Caller, method: str, target: str, headers: Any = (), body: bytes = b"", until: bytes | None = None
    ) -> Answer:
        """Of the ingest API."""
        sent = dict(headers) | {"authorization": bearer(caller)}
        return await call(self._ingest, method, target, sent, body, until=until)

    async def admin(self, target: str) -> Answer:
        """Of the admin port, which asks nobody."""
        return await call(self._admin, "GET", target, {})

    def _fail(self) -> None:
        """A dead letter of each document; of every slot one cause, which all tenants share."""
        for number, (tenant, slot) in enumerate((t, slot) for t in range(self.tenants) for slot in (*SLOTS, FAILED)):
            detail = f"page {ord(slot)} cannot be read"
            groups = GROUPS.get(slot, ())
            letter = failing.failed(
                key_of(tenant, slot), offset=number, groups=groups, at_us=1_000 + number, detail=detail
            )
            failing.write(self.log, letter)

    def _match(self) -> None:
        """Matches of every caller's queries with every document that it sees; and a last one of each."""
        everyone = [caller for tenant in range(self.tenants) for caller in callers(tenant)]
        for caller in everyone:
            for slot in SLOTS:
                for query in QUERIES if caller.sees(caller.tenant, slot) else ():
                    self._matched(caller, slot, query)
        for caller in everyone:
            self._matched(caller, "a", LAST)

    def _matched(self, caller: Caller, slot: str, query: str) -> None:
        key = key_of(caller.tenant, slot)
        event = MatchEvent(
            tenant=key.tenant,
            source=key.source,
            id=key.id,
            version=1,
            match_id=f"{caller.key_id} {slot} {query}",
            query_id=query,
            query_uid=str(standing_id(key.tenant, caller.groups, query)),
            groups=GROUPS.get(slot, ()) if query != LAST else (),
            title=f"{canary(caller.tenant, slot)}",
            span_text=f"{probe(caller.tenant, slot)} {id_of(caller.tenant, slot)}",
        )
        self.log.append(MATCHES.name, b"one/partition/alone", event.SerializeToString())
