from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from spanstream.client import AsyncClient, Client, Invalid, Match, NotFound, Unreachable
from spanstream.client.watch import app
from tests.unit.client.server import Clock, Script, problem

URL = "http://search.test"
SAVED = {"id": "a", "query": "fish", "filter": None, "threshold": 0.5, "revision": 7, "active": True}


def client(script: Script, clock: Clock | None = None) -> Client:
    clock = clock or Clock()
    return Client(
        URL,
        ingest_url="http://ingest.test",
        api_key="k",
        transport_=httpx.MockTransport(script),
        clock=clock,
        sleep=clock.sleep,
    )


def block(id: str, position: str) -> str:
    row: dict[str, Any] = {
        "match_id": f"m-{id}",
        "query": "a",
        "query_revision": 7,
        "source": "wiki",
        "id": id,
        "version": 3,
        "content_hash": "00",
        "title": "T",
        "score": 0.75,
        "passage": {"ordinal": 1, "start": 10, "end": 30},
        "span": {"start": 12, "end": 20, "text": "fish"},
        "indexed_at_us": 9,
        "added later": None,
    }
    return f"event: match\nid: {position}\ndata: {json.dumps(row)}\n\n"


def stream(*blocks: str) -> httpx.Response:
    return httpx.Response(200, content="".join(blocks).encode(), headers={"content-type": "text/event-stream"})


def test_queries_are_saved_read_and_deleted() -> None:
    script = Script(
        httpx.Response(200, json=SAVED),
        httpx.Response(200, json=SAVED),
        httpx.Response(200, json={"queries": [SAVED]}),
        httpx.Response(204),
    )
    with client(script) as one:
        saved = one.standing_queries.save("a", "fish", threshold=0.5)
        assert one.standing_queries.get("a") == saved
        assert one.standing_queries.all() == [saved]
        one.standing_queries.delete("a")
    assert (saved.id, saved.revision, saved.active) == ("a", 7, True)
    assert script.body(0) == {"query": "fish", "threshold": 0.5}
    asked = [(request.method, str(request.url)) for request in script.requests]
    path = f"{URL}/v1/standing-queries"
    assert asked == [("PUT", f"{path}/a"), ("GET", f"{path}/a"), ("GET", path), ("DELETE", f"{path}/a")]


def test_what_is_not_there_and_what_no_path_can_carry_is_said() -> None:
    with client(Script(problem(404))) as one:
        with pytest.raises(NotFound):
            one.standing_queries.get("a")
        with pytest.raises(Invalid):
            one.standing_queries.get("..")


def test_matches_are_told_once_and_go_on_after_a_break() -> None:
    script = Script(
        stream(": here\nid: p0\n\n", block("1", "p1"), block("2", "p2"), "event: match\nid: p3\ndata: {"),
        httpx.ReadError("cut"),
        problem(503, retry_after="2"),
        stream(block("2", "p2"), block("3", "p3")),
    )
    clock = Clock()
    with client(script, clock) as one:
        found = list(itertools.islice(one.matches("a"), 3))
    assert [match.id for match in found] == ["1", "2", "3"]
    assert isinstance(found[0], Match)
    assert (found[0].position, found[0].span.text, found[0].score) == ("p1", "fish", 0.75)
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "p2", "p2", "p2"]
    assert {str(request.url) for request in script.requests} == {"http://ingest.test/v1/matches?query=a"}
    assert clock.slept == [0.2, 1.0, 2.0]


def test_following_begins_behind_a_match_that_is_given() -> None:
    script = Script(stream(block("1", "p1")))
    with client(script) as one:
        next(iter(one.matches(position="p0")))
    assert script.requests[0].headers["last-event-id"] == "p0"


def test_a_refusal_and_a_long_silence_end_the_following() -> None:
    with client(Script(problem(422))) as one, pytest.raises(Invalid):
        next(iter(one.matches()))
    clock = Clock()
    with client(Script(*[httpx.ConnectError("no")] * 40), clock) as one, pytest.raises(Unreachable):
        next(iter(one.matches()))
    assert 25 < clock.now <= 30


def test_the_asynchronous_client_does_the_same() -> None:
    script = Script(
        httpx.Response(200, json=SAVED), stream(block("1", "p1")), stream(block("1", "p1"), block("2", "p2"))
    )
    clock = Clock()

    async def run() -> list[str]:
        found = []
        async with AsyncClient(
            URL,
            api_key="k",
            transport_=httpx.MockTransport(script.asynchronously),
            clock=clock,
            sleep=clock.sleep_asynchronously,
        ) as one:
            assert (await one.standing_queries.save("a", "fish")).id == "a"
            async for match in one.matches():
                found.append(match.id)
                if len(found) == 2:
                    break
        return found

    assert asyncio.run(run()) == ["1", "2"]


def test_the_command_saves_lists_and_removes(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(
        httpx.Response(200, json=SAVED), httpx.Response(200, json={"queries": [SAVED]}), httpx.Response(204)
    )
    monkeypatch.setattr("spanstream.client.cli.Client", lambda url: client(script))
    run = CliRunner()
    added = run.invoke(app, ["add", "a", "solar power", "--not", "price", "--threshold", "0.6"])
    assert (added.exit_code, added.stdout) == (0, "saved  a\n")
    assert script.body(0) == {"query": {"all": ["solar power", {"not": "price"}]}, "threshold": 0.6}
    listed = run.invoke(app, ["list"])
    assert "fish" in listed.stdout
    assert run.invoke(app, ["remove", "a"]).stdout == "removed  a\n"


def test_the_command_follows_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(httpx.Response(200, json={"queries": []}), stream(block("1", "p1")), problem(422))
    monkeypatch.setattr("spanstream.client.cli.Client", lambda url: client(script))
    followed = CliRunner().invoke(app, ["follow"])
    assert "wiki/1" in followed.stdout
    assert "fish" in followed.stdout
    assert isinstance(followed.exception, Invalid)
