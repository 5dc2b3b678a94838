"""What stands around a route: who calls is asked before a body is read, limits, and the audit log before the answer."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from structlog.testing import capture_logs

from spanstream.runtime import tracing
from spanstream.runtime.audit import AuditLog, verify
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import GuardedRoute, trail
from spanstream.runtime.headers import DEFAULTS
from spanstream.runtime.http import application
from spanstream.runtime.key_file import create_key, revoke_key, rotate_key
from spanstream.runtime.keys import Keys
from spanstream.runtime.limits import Limits, Rates
from spanstream.runtime.problems import Problem
from tests.fixtures.credentials import NOW

CANARY = "canary-of-a-document"


class Body(BaseModel):
    text: str


class Server:
    """Routes of every kind behind keys, without a socket."""

    def __init__(self, folder: Path, rates: Rates | None = None) -> None:
        self.audit_file = folder / "audit.jsonl"
        keys = folder / "keys.json"
        self.key = create_key(keys, "one", "acme", {"read", "write", "admin"})
        self.reader = create_key(keys, "reader", "acme", {"read"})
        self.other = create_key(keys, "other", "globex", {"read", "write"})
        loaded = Keys.parse(keys.read_bytes())
        self.now = 0.0
        limits = Limits(rates or Rates(), lambda: self.now)
        audit = AuditLog(self.audit_file)
        authenticator = Authenticator(lambda: loaded, audit=audit, limits=limits)
        app = application("test")
        app.include_router(self.routes(authenticator))
        self.http = TestClient(app, headers=self.bearer(self.key), raise_server_exceptions=False)

    @staticmethod
    def bearer(key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def lines(self) -> list[dict[str, Any]]:
        verify(self.audit_file)
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def routes(self, authenticator: Authenticator) -> APIRouter:
        routes = APIRouter(route_class=GuardedRoute)
        reader, writer, admin = (Depends(authenticator.requires(scope)) for scope in ("read", "write", "admin"))

        @routes.get("/things")
        def things(caller: Identity = reader) -> str:
            return caller.tenant

        @routes.put("/sources/{source}/things/{id:path}")
        def put(request: Request, source: str, id: str, body: Body, caller: Identity = writer) -> str:
            trail(request).note(version=7)
            return "done"

        @routes.delete("/sources/{source}/things/{id:path}")
        def delete(source: str, id: str, caller: Identity = writer) -> str:
            return "gone"

        @routes.post("/replay")
        def replay(caller: Identity = admin) -> str:
            return "replayed"

        @routes.post("/broken")
        def broken(caller: Identity = writer) -> str:
            raise RuntimeError(CANARY)

        @routes.post("/busy")
        def busy(caller: Identity = writer) -> str:
            raise Problem(503, "later")

        @routes.post("/hidden")
        def hidden(caller: Identity = reader) -> str:
            raise Problem(403, "not this one")

        @routes.post("/batch")
        async def batch(request: Request, caller: Identity = writer) -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                trail(request).documents([{"id": "a", "version": 1}, {"id": "b", "version": 2}])
                yield b"ab"

            return StreamingResponse(parts())

        return routes


@pytest.fixture
def server(tmp_path: Path) -> Server:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return Server(tmp_path)


def said(line: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in names)


def test_writes_deletes_and_acts_of_operators_are_told_and_reads_are_not(server: Server) -> None:
    server.http.put("/sources/s/things/a%2Fb", json={"text": CANARY})
    server.http.delete("/sources/s/things/a")
    server.http.post("/replay")
    server.http.get("/things")
    lines = server.lines()
    assert [said(line, "event", "action", "source", "id", "version", "status") for line in lines] == [
        ("write", "PUT /sources/{source}/things/{id}", "s", "a/b", 7, 200),
        ("delete", "DELETE /sources/{source}/things/{id}", "s", "a", None, 200),
        ("admin", "POST /replay", None, None, None, 200),
    ]
    assert {said(line, "tenant", "subject") for line in lines} == {("acme", "key:one")}
    assert len({line["request"] for line in lines}) == 3
    assert CANARY not in server.audit_file.read_text()
    assert server.key.rpartition("_")[2] not in server.audit_file.read_text()


def test_every_refusal_is_told_with_its_reason(server: Server) -> None:
    misplaced = server.key.rpartition("_")[2]
    for key in ("", "sps_one_wrong", f"sps_{misplaced}_one", server.reader):
        headers = server.bearer(key) if key else {"authorization": ""}
        assert server.http.post("/replay", headers=headers).status_code in (401, 403)
    assert server.http.post("/hidden").status_code == 403  # by the handler itself
    lines = server.lines()
    assert [said(line, "event", "status", "reason") for line in lines] == [
        ("denied", 401, "no-credential"),
        ("denied", 401, "wrong-secret"),
        ("denied", 401, "unknown-key"),
        ("denied", 403, "scope"),
        ("denied", 403, None),
    ]
    subjects = [line["subject"] for line in lines]
    assert subjects == ["", "key:one", subjects[2], "key:reader", "key:one"]
    assert subjects[2].startswith("key:#")
    assert misplaced not in server.audit_file.read_text()
    assert [line["tenant"] for line in lines] == [None, None, None, "acme", "acme"]


def test_what_ends_in_an_error_may_have_been_done_and_is_told(server: Server) -> None:
    with capture_logs():
        assert server.http.post("/broken").status_code == 500
    assert server.http.post("/busy").status_code == 503
    assert [said(line, "event", "status") for line in server.lines()] == [("write", None), ("write", 503)]
    assert CANARY not in server.audit_file.read_text()


def test_the_id_of_an_answer_finds_it_in_log_and_audit_log(server: Server) -> None:
    tracing.configure("test")
    trace = "c" * 32
    with capture_logs() as logged:
        broken = server.http.post("/broken", headers={"traceparent": f"00-{trace}-{'d' * 16}-01"}).json()
    denied = server.http.post("/replay", headers=server.bearer(server.reader)).json()
    assert broken["request_id"] == trace
    assert [line["request"] for line in server.lines()] == [trace, denied["request_id"]]
    assert [line["trace_id"] for line in logged if line["event"] == "request_failed"] == [trace]


def test_what_was_refused_for_its_form_changed_nothing_and_is_not_told(server: Server) -> None:
    assert server.http.put("/sources/s/things/a", json={}).status_code == 422
    assert server.http.put("/sources/s/things/a", content=b"{").status_code in (400, 415, 422)
    assert server.http.post("/sources/s/things/a").status_code == 405
    assert server.lines() == []


def test_each_document_of_a_batch_is_told_with_its_request(server: Server) -> None:
    server.http.post("/batch")
    request, *documents = server.lines()
    assert [said(line, "event", "id", "version", "tenant") for line in documents] == [
        ("write", "a", 1, "acme"),
        ("write", "b", 2, "acme"),
    ]
    assert {line["request"] for line in documents} == {request["request"]}


def test_without_its_line_nothing_is_answered_as_done(server: Server) -> None:
    server.audit_file.unlink()
    server.audit_file.mkdir()
    with capture_logs():
        strict = TestClient(server.http.app, headers=server.bearer(server.key))  # one answer, not a second after it
        answer = strict.delete("/sources/s/things/a")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "gone" not in answer.text
        assert server.http.get("/things").status_code == 200
        assert server.http.get("/things", headers={"authorization": "Bearer x"}).status_code == 503


def test_a_stranger_s_body_is_not_read(server: Server) -> None:
    answer = server.http.put("/sources/s/things/a", content=b"{", headers={"authorization": "Bearer x"})
    assert answer.status_code == 401  # not 400 for a body that is not JSON


def test_two_credentials_are_none(server: Server) -> None:
    headers = [("authorization", f"Bearer {server.key}"), ("authorization", f"Bearer {server.other}")]
    assert server.http.get("/things", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "forged",
    [{}, {"x-forwarded-for": "10.0.0.7"}, {"forwarded": "for=10.0.0.8"}, {"x-real-ip": "10.0.0.9", "host": "other"}],
)
def test_over_its_limit_a_tenant_is_told_429_wherever_it_says_it_comes_from(
    tmp_path: Path, forged: dict[str, str]
) -> None:
    server = Server(tmp_path, Rates(requests_per_second=0.5, burst_seconds=4))
    statuses = [server.http.get("/things", headers=forged).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = server.http.get("/things", headers=forged)
    assert (answer.headers["retry-after"], answer.headers["content-type"]) == ("2", "application/problem+json")
    assert server.http.get("/things", headers=forged | server.bearer(server.reader)).status_code == 429  # same tenant
    assert server.http.get("/things", headers=forged | server.bearer(server.other)).status_code == 200
    server.now += 2
    assert server.http.get("/things", headers=forged).status_code == 200


def test_strangers_use_up_nobody_s_limit(tmp_path: Path) -> None:
    server = Server(tmp_path, Rates(requests_per_second=1, burst_seconds=1))
    for _ in range(5):
        assert server.http.get("/things", headers=server.bearer("sps_one_wrong")).status_code == 401
    assert server.http.get("/things").status_code == 200


def test_bytes_of_bodies_are_counted(tmp_path: Path) -> None:
    server = Server(tmp_path, Rates(bytes_per_second=1000, burst_seconds=1))
    assert server.http.put("/sources/s/things/a", json={"text": "x" * 980}).status_code == 200
    assert server.http.put("/sources/s/things/a", json={"text": "x"}).status_code == 200
    assert server.http.put("/sources/s/things/a", json={"text": "x"}).status_code == 429


def test_every_answer_has_the_security_headers(server: Server) -> None:
    with capture_logs():
        answers = [
            server.http.get("/things"),
            server.http.get("/nowhere"),
            server.http.post("/things"),
            server.http.post("/broken"),
            server.http.get("/things", headers={"authorization": ""}),
            server.http.get("/%ff"),
            server.http.get("/openapi.json"),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 500, 401, 400, 200]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in DEFAULTS} == DEFAULTS
        assert "server" not in answer.headers


def test_documentation_runs_its_own_scripts_alone(server: Server) -> None:
    policy = server.http.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_keys_of_other_times(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    gone = create_key(keys, "gone", "acme", expires=NOW - timedelta(days=1))
    old = create_key(keys, "turned", "acme")
    new = rotate_key(keys, "turned", timedelta(hours=1), NOW)
    out = create_key(keys, "out", "acme")
    revoke_key(keys, "out", NOW)
    authenticator = Authenticator.from_file(str(keys))
    for token, accepted in ((gone, False), (old, True), (new, True), (out, False)):
        if accepted:
            assert authenticator.verify(f"Bearer {token}").tenant == "acme"
        else:
            with pytest.raises(Problem) as caught:
                authenticator.verify(f"Bearer {token}")
            assert (caught.value.status, caught.value.detail) == (
                401,
                "send a valid API key or token as 'Authorization: Bearer <key>'",
            )
