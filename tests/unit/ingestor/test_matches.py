from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Reader
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import Key, standing_id
from spanstream.events.topics import ALL, MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.ingestor.matches import HEARTBEAT_SECONDS, Matches, TooManyStreams, Wanted
from spanstream.ingestor.matches_api import router
from spanstream.ingestor.positions import decoded, encoded
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.key_file import create_key


class Server:
    """The route over a log; a stream ends after `looks` looks at it."""

    def __init__(self, keys: Path | None = None, most: int = 2) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(ALL)
        self.looks, self.now = 2, 0.0
        self._seen = 0
        self.matches = Matches(self.log, most=most, stopping=self._stopping, clock=lambda: self.now)
        app = FastAPI()
        problems.install(app)
        app.include_router(router(self.matches, Authenticator.from_file(str(keys) if keys else None)))
        self.client = TestClient(app)

    def _stopping(self) -> bool:
        self._seen += 1
        return self._seen > self.looks

    def publish(
        self,
        id: str,
        tenant: str = "default",
        query: str = "q",
        groups: tuple[str, ...] = (),
        owner: tuple[str, ...] | None = None,
    ) -> None:
        event = MatchEvent(
            tenant=tenant,
            source="wiki",
            id=id,
            version=3,
            content_hash=bytes(32),
            match_id=f"match of {id}",
            query_id=query,
            query_revision=7,
            query_uid=str(standing_id(tenant, owner, query)),
            score=0.75,
            title="A\ntitle",
            groups=groups,
            ordinal=1,
            start=10,
            end=30,
            span_start=12,
            span_end=20,
            span_text="fish: \r\n\r\n «»",
            indexed_at_us=9,
        )
        self.log.append(MATCHES.name, Key(tenant, "wiki", id).encode(), event.SerializeToString())

    def blocks(self, key: str = "", **params: str) -> list[dict[str, str]]:
        """What one connection gets, from the beginning."""
        start = params.pop("start", encoded(dict.fromkeys(range(6), 0)))
        self._seen = 0
        headers = {"last-event-id": start} | ({"authorization": f"Bearer {key}"} if key else {})
        answer = self.client.get("/v1/matches", headers=headers, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [_fields(block) for block in answer.text.split("\n\n") if block]

    def told(self, key: str = "", **params: str) -> list[str]:
        found = [json.loads(block["data"]) for block in self.blocks(key, **params) if "data" in block]
        return sorted(match["id"] for match in found)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in block.split("\n"))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with server.client:
        yield server
    server.matches.close()


def test_a_match_is_one_event_with_all_that_it_says(server: Server) -> None:
    server.publish("a")
    first, event = server.blocks()
    assert set(first) == {"", "id"}  # a comment, and where to go on
    assert event["event"] == "match"
    assert json.loads(event["data"]) == {
        "match_id": "match of a",
        "query": "q",
        "query_uid": str(standing_id("default", None, "q")),
        "query_revision": 7,
        "source": "wiki",
        "id": "a",
        "version": 3,
        "content_hash": "00" * 32,
        "title": "A\ntitle",
        "score": 0.75,
        "passage": {"ordinal": 1, "start": 10, "end": 30},
        "span": {"start": 12, "end": 20, "text": "fish: \r\n\r\n «»"},
        "indexed_at_us": 9,
    }


def test_a_stream_goes_on_where_its_client_stopped(server: Server) -> None:
    for name in "abcdef":
        server.publish(name)
    blocks = server.blocks()
    assert len(blocks) == 7
    for count in range(7):
        rest = server.told(start=blocks[count]["id"])
        seen = sorted(json.loads(block["data"])["id"] for block in blocks[1 : count + 1])
        assert sorted(seen + rest) == list("abcdef")


def test_a_stream_begins_now(server: Server) -> None:
    server.publish("before")
    server.looks = 1
    answer = server.client.get("/v1/matches")
    assert "event: match" not in answer.text
    position = _fields(answer.text.split("\n\n")[0])["id"]
    assert decoded(position) == server.log.end_offsets(MATCHES.name)


def test_one_query_alone_on_request(server: Server) -> None:
    server.publish("a", query="one")
    server.publish("b", query="two")
    assert server.told() == ["a", "b"]
    assert server.told(query="two") == ["b"]
    assert server.told(query="three") == []


def test_a_reader_is_told_of_its_tenant_and_of_what_its_groups_may_see(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = {
        "all": create_key(file, "all", "acme"),
        "staff": create_key(file, "staff", "acme", frozenset({"read"}), ["staff"]),
        "none": create_key(file, "none", "acme", frozenset({"read"}), []),
        "other": create_key(file, "other", "other"),
        "writes": create_key(file, "writes", "acme", frozenset({"write"})),
    }
    server = Server(file)
    server.publish("open", "acme", owner=("staff",))
    server.publish("staff", "acme", groups=("board", "staff"), owner=("staff",))
    server.publish("board", "acme", groups=("board",), owner=("staff",))
    server.publish("of others", "acme", owner=("board",))
    server.publish("of all", "acme")
    server.publish("of none", "acme", owner=())
    server.publish("foreign", "other")
    with server.client:
        assert server.told(keys["all"]) == ["board", "of all", "of none", "of others", "open", "staff"]
        assert server.told(keys["staff"]) == ["open", "staff"]
        assert server.told(keys["none"]) == ["of none"]
        assert server.told(keys["other"]) == ["foreign"]
        assert server.client.get("/v1/matches").status_code == 401
        refused = server.client.get("/v1/matches", headers={"authorization": f"Bearer {keys['writes']}"})
        assert refused.status_code == 403
    server.matches.close()


@pytest.mark.parametrize(
    "position", ["x", "bm90IGpzb24", encoded({0: -1}), encoded({-1: 0}), "W1swLDEuNV1d", "A" * 8193]
)
def test_a_position_that_is_none_is_refused(server: Server, position: str) -> None:
    answer = server.client.get("/v1/matches", headers={"last-event-id": position})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.last-event-id"


def test_a_record_that_is_no_match_is_passed_over(server: Server) -> None:
    server.log.append(MATCHES.name, b"k", b"\xff\xff")
    server.log.append(MATCHES.name, b"k", None)
    server.publish("a")
    assert server.told() == ["a"]


def test_heartbeats_come_while_nothing_else_does(server: Server) -> None:
    async def beats() -> list[bytes]:
        stream = await server.matches.open(Wanted("default"), None)
        found = []
        async for block in stream.events():
            found.append(block)
            server.now += HEARTBEAT_SECONDS
        stream.close()
        return found

    blocks = asyncio.run(beats())
    assert len(blocks) == 3
    assert all(block.startswith(b": here\nid: ") for block in blocks)


def test_streams_are_bounded_and_one_that_ends_makes_room() -> None:
    server = Server(most=1)

    async def one_after_another() -> None:
        first = await server.matches.open(Wanted("default"), None)
        with pytest.raises(TooManyStreams):
            await server.matches.open(Wanted("default"), None)
        first.close()  # before it has begun
        first.close()
        while True:
            try:
                second = await server.matches.open(Wanted("default"), None)
            except TooManyStreams:
                await asyncio.sleep(0.001)
                continue
            break
        second.close()

    asyncio.run(asyncio.wait_for(one_after_another(), 10))
    server.matches.close()


def test_beyond_the_bound_the_answer_is_429() -> None:
    server = Server(most=0)
    with server.client:
        answer = server.client.get("/v1/matches")
    assert answer.status_code == 429
    assert answer.headers["retry-after"]
    server.matches.close()


def test_a_log_that_does_not_answer_is_503_and_leaves_room() -> None:
    server = Server(most=1)

    def away(*_: Any, **__: Any) -> Reader:
        raise LogUnavailable("away")

    reader, server.log.reader = server.log.reader, away  # type: ignore[method-assign, assignment]
    with server.client:
        assert server.client.get("/v1/matches").status_code == 503
        server.log.reader = reader  # type: ignore[method-assign]
        assert server.client.get("/v1/matches").status_code == 200
    server.matches.close()
