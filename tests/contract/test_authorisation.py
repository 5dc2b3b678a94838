"""Deny by default: every route of every application, crossed with every state that a caller's credential can be in.

The routes are read from the applications, as the services build them: one that is added without asking who calls fails here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import ALL
from spanstream.gateway import service as gateway
from spanstream.gateway.settings import GatewaySettings
from spanstream.ingestor import service as ingestor
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime import admin
from spanstream.runtime.audit import verify
from spanstream.runtime.guard import GuardedRoute
from spanstream.runtime.http import HttpServer
from spanstream.runtime.service import Service
from spanstream.runtime.settings import AdminSettings, SettingsError
from tests.fixtures.credentials import AUDIENCE, ISSUER, Provider, keys_of_every_state, tokens_refused
from tests.unit.gateway.corpus import Corpus, document
from tests.unit.indexer.documents import DIMENSION

# What anyone may see: descriptions and the search page's files, which hold nothing of any tenant.
DOCUMENTATION = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/static-offline-docs"}
OPEN = {
    "gateway": DOCUMENTATION | {"/", "/page/{name}"},
    "ingestor": DOCUMENTATION,
    # Without credentials, hence on loopback unless told otherwise. It shows settings with their secrets left out.
    "admin": DOCUMENTATION | {"/livez", "/readyz", "/metrics", "/config"},
}
CANARY = "Xylophone"
BODIES: dict[str, Any] = {  # of requests that are right; of the others no body is looked at
    "POST /v1/search": {"query": CANARY},
    "POST /v1/similar": {"to": {"source": "wiki", "id": "secret"}},
    "POST /v1/search:batch": {"requests": [{"query": CANARY}]},
    "POST /v1/explain-miss": {"query": {"query": CANARY}, "document": {"source": "wiki", "id": "secret"}},
    "POST /v1/sources/{source}/documents:status": {"documents": [{"id": "secret"}]},
    "PUT /v1/standing-queries/{id}": {"query": CANARY},
    "PUT /v1/sources/{source}/documents/{id}": {"text": "Fish."},
}


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    app: str
    method: str
    path: str
    scopes: frozenset[str]
    narrows: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names_source(self) -> bool:
        return "{source}" in self.path

    @property
    def handed_on(self) -> bool:
        """To the ingest API, which is not there."""
        return self.app == "gateway" and self.path.startswith("/v1/failures")

    def url(self) -> str:
        return self.path.format(source="wiki", id="secret", name="none", fingerprint="0" * 16, verb="replay")


def all_routes(app: FastAPI) -> Iterator[Any]:
    """Every route, those of included routers too."""
    return iter_route_contexts(app.routes)


def unguarded(app: FastAPI, open_paths: set[str]) -> list[str]:
    """Paths that do not ask who calls and are not among those that need not."""
    return [
        each.path
        for each in all_routes(app)
        if each.path not in open_paths
        and not (isinstance(each.original_route, GuardedRoute) and each.original_route.required)
    ]


def guarded(name: str, app: FastAPI) -> Iterator[Route]:
    for each in all_routes(app):
        route = each.original_route
        if isinstance(route, GuardedRoute) and route.required:
            scopes = frozenset(required.scope for required in route.required)
            narrows = all(required.narrows for required in route.required)
            for method in sorted(route.methods or ()):
                yield Route(name, method, route.path_format, scopes, narrows)


class Applications:
    """Gateway, ingestor and admin port as their services build them, over real but small neighbours."""

    def __init__(self, folder: Path) -> None:
        self.provider = Provider()
        self.audit_file = folder / "audit.jsonl"
        self.keys = keys_of_every_state(folder / "keys.json")
        (folder / "jwks.json").write_bytes(self.provider.jwks())
        shared: dict[str, Any] = {
            "auth_keys_file": str(folder / "keys.json"),
            "auth_jwks_file": str(folder / "jwks.json"),
            "auth_jwt_issuer": ISSUER,
            "auth_jwt_audience": AUDIENCE,
            "auth_audit_file": str(self.audit_file),
        }
        self.corpus = Corpus(folder / "store")
        self.corpus.put(document("secret", [f"{CANARY} music."], source="wiki"))
        servers = {name: HttpServer(name, "127.0.0.1", 0) for name in ("gateway", "ingestor")}
        log = MemoryLog()
        log.ensure_topics(ALL)
        search_settings = GatewaySettings(
            store_url="edge:/nowhere", encoder_url="hash:", ingest_url="http://127.0.0.1:1", **shared
        )
        ingest_settings = IngestorSettings(
            log_url="memory:",
            blob_url=f"file:{folder}/blobs",
            roles="api",
            gateway_url="http://127.0.0.1:1",
            max_match_streams=0,  # a stream has no end of its own
            **shared,
        )
        encoder = HashEncoder(DIMENSION)
        self.services: list[Service] = [
            gateway.build(search_settings, store=self.corpus.store, encoder=encoder, http=servers["gateway"]),
            ingestor.build(ingest_settings, log=log, http=servers["ingestor"]),
        ]
        servers["admin"] = admin.build(AdminSettings(port=0), self.services, [search_settings, ingest_settings])
        self.servers = servers
        self.services[0].start(lambda error: None)
        while self.services[0].unready():
            threading.Event().wait(0.005)
        self.clients = {name: TestClient(each.app, raise_server_exceptions=False) for name, each in servers.items()}

    def close(self) -> None:
        for each in [*self.services, *self.servers.values()]:
            each.stop(time.monotonic() + 5)
        self.corpus.store.close()

    def ask(self, route: Route, authorization: str | None, body: Any = None) -> Any:
        headers = {} if authorization is None else {"authorization": authorization}
        return self.clients[route.app].request(route.method, route.url(), headers=headers, json=body)

    def routes(self) -> list[Route]:
        return [route for name, each in self.servers.items() for route in guarded(name, each.app)]


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applications]:
    made = Applications(tmp_path_factory.mktemp("apps"))
    yield made
    made.close()


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.promise("I17")
def test_every_route_asks_who_calls_or_is_known_to_be_open(applications: Applications, name: str) -> None:
    app = applications.servers[name].app
    assert unguarded(app, OPEN[name]) == []
    assert {each.path for each in all_routes(app)} >= OPEN[name] - DOCUMENTATION  # nothing is open that is not there


def test_a_route_without_a_scope_is_found() -> None:
    app, plain, bare = FastAPI(openapi_url=None), APIRouter(), APIRouter(route_class=GuardedRoute)
    plain.add_api_route("/naked", lambda: 1)
    bare.add_api_route("/guarded-by-nobody", lambda: 1)
    plain.include_router(bare, prefix="/v1")
    app.include_router(plain)
    assert unguarded(app, set()) == ["/naked", "/v1/guarded-by-nobody"]


def test_the_admin_port_stays_on_loopback_unless_told() -> None:
    assert AdminSettings().host == "127.0.0.1"


def statuses(applications: Applications, authorization: str | None) -> dict[str, set[int]]:
    """Of all routes, by status; every refusal is a problem document of one form."""
    found: dict[str, set[int]] = {}
    for route in applications.routes():
        answer = applications.ask(route, authorization, BODIES.get(route.name))
        found.setdefault(f"{route.app} {route.name}", set()).add(answer.status_code)
        assert CANARY not in answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            told = answer.json()
            del told["request_id"]
            assert told == {
                "type": "urn:spanstream:problem:unauthenticated",
                "title": "unauthenticated",
                "status": 401,
                "detail": "send a valid API key or token as 'Authorization: Bearer <key>'",
            }
    return found


NO_CREDENTIAL: dict[str, str | None] = {
    "absent": None,
    "empty": "",
    "garbage": "\x7fgarbage",
    "scheme alone": "Bearer",
    "no token": "Bearer ",
    "prefix alone": "Bearer sps_",
    "unknown id": "Bearer sps_nobody_" + "x" * 43,
    "wrong secret": "Bearer sps_right_" + "x" * 43,
    "id without a secret": "Bearer sps_right",
    "id with an empty secret": "Bearer sps_right_",
    "hash for a secret": "Bearer sps_right_" + "0" * 64,
    "another scheme": "Basic cmlnaHQ6c2VjcmV0",
    "long": "Bearer sps_" + "x" * 20_000,
}


@pytest.mark.parametrize("state", NO_CREDENTIAL)
@pytest.mark.promise("I17")
def test_what_is_no_credential_is_401_everywhere(applications: Applications, state: str) -> None:
    assert set.union(*statuses(applications, NO_CREDENTIAL[state]).values()) == {401}


@pytest.mark.parametrize("place", ["query", "x-api-key", "cookie", "proxy-authorization", "body"])
def test_a_right_credential_anywhere_else_is_401_everywhere(applications: Applications, place: str) -> None:
    """Addresses, cookies and the like end in logs, or are sent by pages that nobody asked to."""
    key = applications.keys["right"]
    headers = {"x-api-key": key, "cookie": f"authorization=Bearer {key}", "proxy-authorization": f"Bearer {key}"}
    for route in applications.routes():
        answer = applications.clients[route.app].request(
            route.method,
            route.url()
            + (f"?api_key={key}&access_token={key}&authorization=Bearer%20{key}" if place == "query" else ""),
            headers={place: headers[place]} if place in headers else {},
            json={"authorization": f"Bearer {key}", "api_key": key} if place == "body" else BODIES.get(route.name),
        )
        assert (route.name, answer.status_code) == (route.name, 401)


def test_no_method_but_those_that_ask_who_calls_answers(applications: Applications) -> None:
    every = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
    known = {(route.app, route.path, route.method) for route in applications.routes()}
    for route in applications.routes():
        for method in every:
            if (route.app, route.path, method) not in known:
                answer = applications.clients[route.app].request(method, route.url())
                assert answer.status_code in (401, 404, 405), f"{method} {route.path}"
                assert CANARY not in answer.text


@pytest.mark.parametrize("damage", ["absent", "empty", "no JSON", "a folder", "another form"])
def test_no_service_lets_anybody_in_while_its_keys_cannot_be_read(
    applications: Applications, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "keys.json"
    contents = {"empty": "", "no JSON": "{", "another form": '{"keys": [{"id": "a", "tenant": "acme", "admin": true}]}'}
    if damage in contents:
        path.write_text(contents[damage])
    elif damage == "a folder":
        path.mkdir()
    shared: dict[str, Any] = {"auth_keys_file": str(path)}
    log = MemoryLog()
    log.ensure_topics(ALL)
    search = GatewaySettings(store_url=f"edge:{tmp_path}/index", encoder_url="hash:", **shared)
    ingest = IngestorSettings(log_url="memory:", blob_url=f"file:{tmp_path}/blobs", roles="api", **shared)
    store: Any = applications.corpus.store
    server = HttpServer("either", "127.0.0.1", 0)
    try:
        for build in (
            lambda: gateway.build(search, store=store, encoder=HashEncoder(DIMENSION), http=server),
            lambda: ingestor.build(ingest, log=log, http=server),
        ):
            if damage == "a folder":  # that will never be a file of keys
                with pytest.raises(SettingsError):
                    build()
            else:
                assert any("AUTH_KEYS_FILE" in reason for reason in build().unready())
        client = TestClient(server.app, raise_server_exceptions=False)
        asked = list(guarded("either", server.app))
        assert damage == "a folder" or len(asked) > 20
        for route in asked:
            headers = {"authorization": f"Bearer {applications.keys['right']}"}
            answer = client.request(route.method, route.url(), headers=headers, json=BODIES.get(route.name))
            assert (route.name, answer.status_code) in {(route.name, 401), (route.name, 503)}
            assert CANARY not in answer.text
    finally:
        server.stop(time.monotonic())


@pytest.mark.parametrize("state", ["expired", "revoked", "rotated out"])
def test_key_out_of_its_time_is_401_everywhere(applications: Applications, state: str) -> None:
    assert set.union(*statuses(applications, f"Bearer {applications.keys[state]}").values()) == {401}


def test_right_key_under_another_scheme_is_401_everywhere(applications: Applications) -> None:
    for scheme in ("Basic ", "Token ", "", "Bearer Bearer "):
        assert set.union(*statuses(applications, f"{scheme}{applications.keys['right']}").values()) == {401}


@pytest.mark.parametrize("state", sorted(tokens_refused(Provider())))
@pytest.mark.promise("I17")
def test_wrong_token_is_401_everywhere(applications: Applications, state: str) -> None:
    token = tokens_refused(applications.provider)[state]
    assert set.union(*statuses(applications, f"Bearer {token}").values()) == {401}


@pytest.mark.parametrize(
    ("state", "scopes"),
    [("read only", {"read"}), ("write only", {"write"}), ("admin only", {"admin"}), ("no scope", set())],
)
@pytest.mark.parametrize("kind", ["key", "token"])
def test_route_beyond_its_scopes_is_403(applications: Applications, state: str, scopes: set[str], kind: str) -> None:
    token = applications.keys[state] if kind == "key" else applications.provider.token(scope=" ".join(scopes))
    refused = [route for route in applications.routes() if not route.scopes <= scopes]
    assert refused
    for route in refused:
        answer = applications.ask(route, f"Bearer {token}", BODIES.get(route.name))
        assert (route.name, answer.status_code) == (route.name, 403)


@pytest.mark.parametrize("state", ["other source", "no source"])
def test_another_source_is_403_and_what_is_of_no_source_is_narrowed_or_refused(
    applications: Applications, state: str
) -> None:
    for route in applications.routes():
        answer = applications.ask(route, f"Bearer {applications.keys[state]}", BODIES.get(route.name))
        assert CANARY not in answer.text.replace(json.dumps(CANARY), "")
        if route.names_source or not route.narrows:
            assert (route.name, answer.status_code) == (route.name, 403)
        else:
            assert answer.status_code in ((503,) if route.handed_on else (200, 404, 422)), route.name
    sources = applications.clients["gateway"].get(
        "/v1/sources", headers={"authorization": f"Bearer {applications.keys[state]}"}
    )
    assert sources.json() == {"sources": []}


@pytest.mark.promise("I16")
def test_another_tenant_finds_nothing(applications: Applications) -> None:
    """404 where the document is asked for by name; and no answer holds a word of it."""
    key = applications.keys["other tenant"]
    for route in applications.routes():
        if route.app == "gateway" and "write" not in route.scopes:
            answer = applications.ask(route, f"Bearer {key}", BODIES.get(route.name))
            assert CANARY not in answer.text
            if route.method == "GET" and "{id}" in route.path:
                assert (route.name, answer.status_code) == (route.name, 404)
            else:
                assert answer.status_code in ((503,) if route.handed_on else (200, 404, 422)), route.name


def test_groups_that_a_token_does_not_name_are_not_its_own(applications: Applications) -> None:
    hidden = document("hidden", ["Zither music."], source="wiki", groups=("board",))
    applications.corpus.put(hidden)
    for token, expected in (
        (applications.provider.token(groups=["board"]), {"hidden", "secret"}),
        (applications.provider.token(groups=["staff"]), {"secret"}),
        (applications.provider.token(groups=None), {"secret"}),
        (applications.keys["right"], {"hidden", "secret"}),
    ):
        answer = applications.clients["gateway"].post(
            "/v1/search", json={"query": "music"}, headers={"authorization": f"Bearer {token}"}
        )
        assert {hit["id"] for hit in answer.json()["hits"]} == expected


@pytest.mark.parametrize("state", ["right", "rotated, still good", "token"])
def test_right_credential_is_let_in_everywhere(applications: Applications, state: str) -> None:
    token = applications.provider.token() if state == "token" else applications.keys[state]
    for route in applications.routes():
        answer = applications.ask(route, f"Bearer {token}", BODIES.get(route.name))
        assert answer.status_code not in (401, 403, 500), route.name


@pytest.mark.promise("I25")
def test_every_refusal_and_every_write_is_in_the_audit_log(applications: Applications) -> None:
    before = verify(applications.audit_file).lines
    routes, refused = applications.routes(), 0
    for route in routes:
        applications.ask(route, None)
        applications.ask(route, f"Bearer {applications.keys['no scope']}")
        refused += 2
    writes = [route for route in routes if route.scopes - {"read"} and route.method in ("PUT", "DELETE")]
    told = 0
    for route in writes:
        answer = applications.ask(route, f"Bearer {applications.keys['right']}", BODIES.get(route.name))
        told += not 400 <= answer.status_code < 500
    lines = [json.loads(line) for line in applications.audit_file.read_text().splitlines()][before:]
    assert verify(applications.audit_file).lines == before + refused + told
    assert sum(line["event"] == "denied" for line in lines) == refused
    assert {line["event"] for line in lines} >= {"denied", "write", "delete"}
    written = next(line for line in lines if (line["event"], line.get("source")) == ("write", "wiki"))
    assert (written["tenant"], written["subject"], written["source"], written["id"]) == (
        "acme",
        "key:right",
        "wiki",
        "secret",
    )
    everything = applications.audit_file.read_text()
    assert not any(key.rpartition("_")[2] in everything for key in applications.keys.values())
    assert CANARY not in everything


def test_every_document_of_a_batch_is_in_the_audit_log(applications: Applications) -> None:
    before = verify(applications.audit_file).lines
    answer = applications.clients["ingestor"].post(
        "/v1/sources/wiki/documents:batch",
        content="\n".join(
            json.dumps(row) for row in ({"id": "a", "text": CANARY}, {"text": "x"}, {"id": "b\n", "text": "x"})
        ),
        headers={"authorization": f"Bearer {applications.keys['right']}"},
    )
    rows = [json.loads(row) for row in answer.text.splitlines()]
    assert [row["status"] for row in rows] == ["accepted", "error", "error"]
    verify(applications.audit_file)
    lines = [json.loads(line) for line in applications.audit_file.read_text().splitlines()][before:]
    told = [(line["event"], line["source"], line.get("id"), line.get("version"), line["status"]) for line in lines]
    assert told == [("write", "wiki", None, None, 200), ("write", "wiki", "a", rows[0]["version"], 202)]


def test_routes_that_name_a_source_are_found(applications: Applications) -> None:
    """So that what is above is about something."""
    routes = applications.routes()
    assert {route.app for route in routes} == {"gateway", "ingestor"}
    assert sum(route.names_source for route in routes) >= 8
