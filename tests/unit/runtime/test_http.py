from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from structlog.testing import capture_logs

from spanstream.runtime import admin
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import GuardedRoute
from spanstream.runtime.http import HttpServer, PortInUse
from spanstream.runtime.key_file import create_key
from spanstream.runtime.problems import Problem
from spanstream.runtime.service import ThreadService
from spanstream.runtime.settings import AdminSettings, HttpSettings

ARRIVED = threading.Event()  # a request of /slow


class Body(BaseModel):
    number: int


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def server(keys: Path) -> Iterator[HttpServer]:
    create_key(keys, "unused", "other")
    auth = Authenticator.from_file(str(keys))
    router = APIRouter()

    @router.post("/echo")
    def echo(body: Body) -> int:
        return body.number

    @router.get("/broken")
    def broken() -> int:
        raise RuntimeError("the secret document text")

    @router.get("/busy")
    def busy() -> int:
        raise Problem(503, "the log is away", retry_after=2)

    @router.get("/who")
    def who(identity: Identity = Depends(auth.requires("read"))) -> str:
        return identity.tenant

    @router.get("/named/{name}")
    def named(name: str) -> str:
        return name

    @router.get("/slow")
    async def slow() -> int:
        ARRIVED.set()
        await asyncio.sleep(30)
        return 1

    server = HttpServer("test", "127.0.0.1", 0)
    server.include(router)
    server.start(lambda error: None)
    yield server
    server.stop(time.monotonic() + 10)


def test_router_may_have_the_root() -> None:
    router = APIRouter()
    router.add_api_route("/", lambda: "a page")
    server = HttpServer("test", "127.0.0.1", 0)
    server.include(router)
    server.start(lambda error: None)
    assert httpx.get(server.url).json() == "a page"
    server.stop(time.monotonic() + 10)


def test_a_body_beyond_the_limit_is_refused_whether_its_length_is_said_or_not() -> None:
    router = APIRouter(route_class=GuardedRoute)
    auth = Authenticator.from_file(None)

    @router.post("/count")
    def count(body: dict[str, str], _caller: Identity = Depends(auth.requires("read"))) -> int:
        return len(body["text"])

    server = HttpServer("test", "127.0.0.1", 0)
    server.include(router, max_body_bytes=1000)
    server.start(lambda error: None)
    try:
        url = f"{server.url}/count"
        assert httpx.post(url, json={"text": "a" * 900}).json() == 900
        for more in ({"json": {"text": "a" * 1000}}, {"content": iter([b'{"text": "', b"a" * 1000, b'"}'])}):
            answer = httpx.post(url, **more)
            assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
            assert answer.json()["type"] == "urn:spanstream:problem:too-large"
    finally:
        server.stop(time.monotonic() + 10)


def test_root_leads_to_the_documentation(server: HttpServer) -> None:
    answer = httpx.get(server.url, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/docs")
    links = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert links
    assert all(httpx.get(server.url + link).status_code == 200 for link in links), "loads from elsewhere"
    assert "/" not in httpx.get(f"{server.url}/openapi.json").json()["paths"]


@pytest.mark.parametrize("keyed", [False, True])
def test_running_without_keys_is_said_in_the_log(keyed: bool, keys: Path) -> None:
    create_key(keys, "one", "default")
    with capture_logs() as lines:
        Authenticator.from_file(str(keys) if keyed else None)
    assert [line["event"] for line in lines] == ([] if keyed else ["no_keys"])


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "kind"),
    [
        ("POST", "/echo", b"{", 400, "malformed"),
        ("POST", "/echo", b'{"number": "secret"}', 422, "invalid"),
        ("GET", "/nowhere", None, 404, "not-found"),
        ("GET", "/echo", None, 405, "method-not-allowed"),
        ("GET", "/broken", None, 500, "internal"),
        ("GET", "/busy", None, 503, "unavailable"),
        ("GET", "/who", None, 401, "unauthenticated"),
    ],
)
def test_every_error_is_a_problem_document_without_the_value(
    server: HttpServer, method: str, path: str, content: bytes | None, status: int, kind: str
) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with capture_logs():  # unconfigured, structlog would draw the traceback for seconds
        answer = httpx.request(method, server.url + path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:spanstream:problem:{kind}"
    assert body["request_id"]
    assert "secret" not in answer.text
    if status == 503:
        assert answer.headers["retry-after"] == "2"


def test_a_port_in_use_is_found_before_anything_starts(server: HttpServer) -> None:
    with pytest.raises(PortInUse, match=str(server.port)):
        HttpServer("second", "127.0.0.1", server.port)


def test_a_port_in_use_names_the_variable_that_chooses_another(server: HttpServer) -> None:
    with pytest.raises(PortInUse, match="for admin: Address already in use; ADMIN_PORT chooses another port"):
        admin.build(AdminSettings.read(port=server.port), [], [])


def test_keys_bind_callers_to_their_tenant(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    acme, other = create_key(path, "one", "acme"), create_key(path, "two", "other", frozenset({"read"}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert acme.rpartition("_")[2] not in path.read_text()
    auth = Authenticator.from_file(str(path))
    assert auth.verify(f"Bearer {acme}").tenant == "acme"
    assert auth.verify(f"bearer {other}").scopes == {"read"}


@pytest.mark.parametrize(
    "change", ["", "Bearer ", "Basic {}", "Bearer {}x", "Bearer sps_nobody_abc", "{}", "Bearer sps"]
)
def test_any_other_credential_is_refused(tmp_path: Path, change: str) -> None:
    token = create_key(tmp_path / "keys.json", "one", "acme")
    auth = Authenticator.from_file(str(tmp_path / "keys.json"))
    with pytest.raises(Problem) as caught:
        auth.verify(change.format(token) or None)
    assert caught.value.status == 401


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"keys": [{"id": "a"}]}', '{"keys": [1]}', '{"keys": null}'])
def test_an_unreadable_key_file_does_not_start_open(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    for name in ("keys.json", "none.json"):
        auth = Authenticator.from_file(str(tmp_path / name))
        assert name in auth.unready()[0]
        with pytest.raises(Problem) as caught:
            auth.verify("Bearer sps_somebody_secret")
        assert (caught.value.status, name in caught.value.detail) == (503, False)


def test_admin_port_tells_live_ready_metrics_and_config() -> None:
    slow = ThreadService("slow", [], unready=lambda: ["the index is not open yet"])
    server = admin.build(AdminSettings.read(port=0), [slow], [HttpSettings.read(http_port=81)])
    server.start(lambda error: None)
    try:
        assert httpx.get(server.url + "/livez").status_code == 200
        ready = httpx.get(server.url + "/readyz")
        while "starting" in ready.text:
            ready = httpx.get(server.url + "/readyz")
        assert (ready.status_code, ready.text) == (503, "not ready\nslow: the index is not open yet\n")
        assert "indexer_freshness_seconds" in httpx.get(server.url + "/metrics").text
        assert httpx.get(server.url + "/config?diff=1").json() == {"HTTP_PORT": 81, "ADMIN_PORT": 0}
    finally:
        server.stop(time.monotonic() + 10)


def test_a_path_that_is_not_utf8_is_refused(server: HttpServer) -> None:
    assert httpx.get(server.url + "/named/%C3%A4").json() == "\u00e4"
    for raw in ("a%FF", "%ED%A0%80"):
        refused = httpx.get(f"{server.url}/named/{raw}")
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")


def test_a_connection_is_kept_for_longer_than_clients_keep_it(server: HttpServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for wait in (0, 7):  # uvicorn's own would be 5, as httpx's
            time.sleep(wait)
            connection.sendall(b"GET /named/x HTTP/1.1\r\nHost: here\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_no_answer_names_the_server(server: HttpServer) -> None:
    for path in ("/named/a", "/nowhere", "/who"):
        assert "server" not in httpx.get(server.url + path).headers


def test_a_request_that_a_stop_cuts_is_answered_503(server: HttpServer) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.get, server.url + "/slow", timeout=60)
        assert ARRIVED.wait(60)
        server.stop(time.monotonic() + 10)
        assert answer.result(60).status_code == 503
        assert answer.result().headers["content-type"] == "application/problem+json"
