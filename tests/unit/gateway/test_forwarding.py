"""Files that the page sends reach the ingest API as they are, with who sends them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from spanstream.gateway import forwarding
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.http import application
from spanstream.runtime.key_file import create_key


class Ingest:
    """What the ingest API was asked, and what it answers; None: it does not."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: httpx.Response | None = httpx.Response(202, json={"status": "accepted"})

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.answer is None:
            raise httpx.ConnectError("refused")
        await request.aread()
        self.asked.append(request)
        return self.answer


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def client(ingest: Ingest, keys: Path) -> TestClient:
    token = create_key(keys, "one", "acme")
    app = application("test")
    other = httpx.AsyncClient(transport=httpx.MockTransport(ingest), base_url="http://ingest:8081")
    app.include_router(forwarding.router(other, Authenticator.from_file(str(keys))))
    return TestClient(app, headers={"authorization": f"Bearer {token}"})


def test_file_is_handed_on(client: TestClient, ingest: Ingest) -> None:
    headers = {"content-type": "application/octet-stream", "cookie": "mine=1"}
    answer = client.post("/v1/sources/notes/files?filename=a%2Fb.txt", content=b"Bees.", headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    (asked,) = ingest.asked
    assert str(asked.url) == "http://ingest:8081/v1/sources/notes/files?filename=a%2Fb.txt"
    assert (asked.content, asked.headers["content-length"]) == (b"Bees.", "5")
    assert asked.headers["authorization"] == client.headers["authorization"]
    assert "cookie" not in asked.headers


def test_refusal_is_handed_back(client: TestClient, ingest: Ingest) -> None:
    problem = {"content-type": "application/problem+json", "retry-after": "3"}
    ingest.answer = httpx.Response(503, json={"detail": "full"}, headers=problem)
    answer = client.post("/v1/sources/notes/files", content=b"Bees.")
    assert (answer.status_code, answer.json()) == (503, {"detail": "full"})
    assert {name: answer.headers[name] for name in problem} == problem


def test_ingest_api_that_is_away_is_a_problem(client: TestClient, ingest: Ingest) -> None:
    ingest.answer = None
    answer = client.post("/v1/sources/notes/files", content=b"Bees.")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_nothing_of_a_stranger_is_handed_on(client: TestClient, ingest: Ingest, keys: Path) -> None:
    reader = create_key(keys, "two", "acme", frozenset({"read"}))
    for token in ("sps_one_wrong", reader):
        answer = client.post("/v1/sources/n/files", content=b"x", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in (401, 403)
    assert ingest.asked == []


PRINT = "0123456789abcdef"


def test_a_length_without_a_body_is_not_handed_on(client: TestClient, ingest: Ingest) -> None:
    """Else the other side waits for a body that never comes."""
    assert client.request("GET", "/v1/failures", content=b"Bees.").status_code == 202
    assert "content-length" not in ingest.asked[0].headers


def test_failures_are_handed_on_for_who_may(client: TestClient, ingest: Ingest, keys: Path) -> None:
    ingest.answer = httpx.Response(200, json={"groups": []})
    assert client.get("/v1/failures").json() == {"groups": []}
    client.get(f"/v1/failures/{PRINT}?limit=5&cursor=1~a%3A1")
    client.post(f"/v1/failures/{PRINT}:replay", json={"limit": 1})
    client.post(f"/v1/failures/{PRINT}:discard", json={})
    asked = [(each.method, each.url.raw_path.decode(), each.content) for each in ingest.asked]
    assert asked == [
        ("GET", "/v1/failures", b""),
        ("GET", f"/v1/failures/{PRINT}?limit=5&cursor=1~a%3A1", b""),
        ("POST", f"/v1/failures/{PRINT}:replay", b'{"limit":1}'),
        ("POST", f"/v1/failures/{PRINT}:discard", b"{}"),
    ]
    assert all(each.headers["authorization"] == client.headers["authorization"] for each in ingest.asked)
    for scope, verb, path in (
        ("read", "POST", f"/v1/failures/{PRINT}:replay"),
        ("write", "GET", "/v1/failures"),
        ("write", "GET", f"/v1/failures/{PRINT}"),
    ):
        token = create_key(keys, scope, "acme", frozenset({scope}))
        answer = client.request(verb, path, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in (401, 403)
    for path in (f"{PRINT}:drop", f"{PRINT}%2F..:replay", "..:replay", "X:discard"):
        assert client.post(f"/v1/failures/{path}", json={}).status_code in (404, 422)
    assert len(ingest.asked) == 4


@pytest.mark.parametrize("source", ["%2e%2e", "Not%20a%20name", "a%2Fb"])
def test_source_that_is_no_name_leads_nowhere(client: TestClient, ingest: Ingest, source: str) -> None:
    assert client.post(f"/v1/sources/{source}/files", content=b"x").status_code in (404, 422)
    assert ingest.asked == []
