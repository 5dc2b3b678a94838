"""Records that failed, through the SDK and `spanstream failures`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from spanstream.client import AsyncClient, Client, Invalid, NotFound, NotSettled, Resolution, cli
from spanstream.client.cli import INTERRUPTED
from spanstream.client.dead_letters import STALLED
from spanstream.client.failures import app
from tests.unit.client.server import Clock, Script, problem

URL = "http://search.test"
PRINT = "00ff00ff00ff00ff"
GROUP: dict[str, Any] = {
    "fingerprint": PRINT,
    "stage": "ingestor",
    "reason": "PARSE_FAILED",
    "meaning": "The file is damaged.",
    "detail": "page 3",
    "count": 3,
    "replayable": 2,
    "documents": 2,
    "first_at_us": 1_700_000_000_000_000,
    "last_at_us": 1_700_000_100_000_000,
    "samples": ["documents.v1:1:2"],
    "added later": None,
}
RECORD: dict[str, Any] = {
    "id": "documents.v1:1:2",
    "source": "wiki",
    "document": "a\x1b[2J",
    "version": 0,
    "detail": "page 3",
    "attempts": 1,
    "replays": 2,
    "failed_at_us": 1_700_000_000_000_000,
    "topic": "documents.v1",
    "partition": 1,
    "offset": 2,
    "bytes": 10,
    "replayable": True,
}


def client(script: Script) -> Client:
    clock = Clock()
    transport = httpx.MockTransport(script)
    ingest = "http://ingest.test"
    return Client(URL, ingest_url=ingest, api_key="k", transport_=transport, clock=clock, sleep=clock.sleep)


def answer(done: int, left: int, unreplayable: int = 0, until: str = "here") -> httpx.Response:
    told = {"done": done, "left": left, "unreplayable": unreplayable, "until": until}
    return httpx.Response(200, json=told)


def page(cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"group": GROUP, "records": [RECORD], "cursor": cursor})


def groups(*rows: dict[str, Any], left_out: bool = False) -> httpx.Response:
    return httpx.Response(200, json={"groups": list(rows), "left_out": left_out})


def test_groups_and_records_are_read_from_the_ingest_api() -> None:
    script = Script(groups(GROUP, left_out=True), page("next"), page())
    with client(script) as one:
        found = one.failures.groups()
        first = one.failures.show(PRINT, limit=1)
        one.failures.show(PRINT, cursor=first.cursor)
    assert found.left_out
    assert (found.groups[0].meaning, found.groups[0].samples) == ("The file is damaged.", ("documents.v1:1:2",))
    assert (first.group.count, first.records[0].offset, first.cursor) == (3, 2, "next")
    assert [str(request.url) for request in script.requests] == [
        "http://ingest.test/v1/failures",
        f"http://ingest.test/v1/failures/{PRINT}?limit=1",
        f"http://ingest.test/v1/failures/{PRINT}?limit=1000&cursor=next",
    ]


def test_a_replay_asks_until_nothing_is_left_of_what_had_failed() -> None:
    script = Script(answer(100, 150), problem(503, retry_after="1"), answer(100, 50), answer(50, 0, 4))
    seen: list[Resolution] = []
    with client(script) as one:
        told = one.failures.replay(PRINT, rate_per_second=70, ids=["documents.v1:1:2"], on_progress=seen.append)
    assert told == Resolution(250, 0, 4)
    assert [each.done for each in seen] == [100, 200, 250]
    body = {"limit": 1000, "rate_per_second": 70, "ids": ["documents.v1:1:2"], "dry_run": False}
    assert [script.body(n) for n in range(4)] == [body] + [body | {"until": "here"}] * 3
    assert str(script.requests[0].url) == f"http://ingest.test/v1/failures/{PRINT}:replay"


def test_a_limit_is_kept_over_many_answers() -> None:
    script = Script(answer(3, 50), answer(2, 48))
    with client(script) as one:
        assert one.failures.discard(PRINT, limit=5) == Resolution(5, 48, 0)
    assert [script.body(n)["limit"] for n in range(2)] == [5, 2]
    assert "rate_per_second" not in script.body(0)


def test_a_dry_run_is_one_question() -> None:
    with client(Script(answer(1000, 500))) as one:
        assert one.failures.replay(PRINT, dry_run=True) == Resolution(1500, 0, 0)
    with client(Script(answer(1000, 500))) as one:
        assert one.failures.replay(PRINT, dry_run=True, limit=1200) == Resolution(1200, 300, 0)


def test_what_others_resolve_meanwhile_is_done() -> None:
    with client(Script(answer(3, 50), problem(404))) as one:
        assert one.failures.replay(PRINT) == Resolution(3, 0, 0)
    with client(Script(problem(404))) as one, pytest.raises(NotFound):
        one.failures.replay(PRINT)
    with client(Script()) as one, pytest.raises(Invalid):
        one.failures.show("..")


def test_what_never_moves_is_given_up() -> None:
    with client(Script(*[answer(0, 2)] * STALLED)) as one, pytest.raises(NotSettled, match="2 dead letters"):
        one.failures.replay(PRINT)


def test_the_asynchronous_client_does_the_same() -> None:
    script = Script(groups(GROUP), page(), answer(1, 1), answer(1, 0), answer(2, 0))

    async def ask() -> None:
        transport, clock = httpx.MockTransport(script.asynchronously), Clock()
        one = AsyncClient(URL, transport_=transport, clock=clock, sleep=clock.sleep_asynchronously)
        async with one:
            assert (await one.failures.groups()).groups[0].count == 3
            assert (await one.failures.show(PRINT)).records[0].replays == 2
            assert (await one.failures.replay(PRINT)).done == 2
            assert (await one.failures.discard(PRINT)).done == 2

    asyncio.run(ask())


# --- The command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(script: Script, *arguments: str) -> Result:
        monkeypatch.setattr(cli, "Client", lambda _: client(script))
        return CliRunner(env={"COLUMNS": "200", "TZ": "UTC"}).invoke(app, arguments)

    return run


def test_the_list_says_what_failed_and_why(run: Callable[..., Result]) -> None:
    done = run(Script(groups(GROUP, left_out=True)), "list")
    assert done.exit_code == 0
    for shown in (PRINT, "ingestor", "PARSE_FAILED", "The file is damaged.", "3", "2023-11-14"):
        assert shown in done.output
    assert "more in the log" in done.output
    assert "nothing failed" in run(Script(groups()), "list").output
    assert json.loads(run(Script(groups(GROUP)), "list", "--json").stdout)["groups"][0]["count"] == 3


def test_records_are_shown_without_what_steers_a_terminal(run: Callable[..., Result]) -> None:
    done = run(Script(page("next")), "show", PRINT)
    assert done.exit_code == 0
    assert "\x1b[2J" not in done.output
    for shown in ("documents.v1:1:2", "wiki/a", "?", "--cursor next", "1 of 3 records of 2 documents, 2 replayable"):
        assert shown in done.output
    assert json.loads(run(Script(page()), "show", PRINT, "--json").stdout)["records"][0]["id"] == "documents.v1:1:2"


def test_a_replay_says_what_it_did(run: Callable[..., Result]) -> None:
    script = Script(answer(2, 1), answer(1, 0, 2))
    done = run(script, "replay", PRINT, "--rate", "9", "--id", "x:1:2", "--id", "x:1:3")
    assert done.exit_code == 0
    assert "replayed  3\n" in done.output
    assert "2 cannot be replayed" in done.output
    assert (script.body(0)["rate_per_second"], script.body(0)["ids"]) == (9, ["x:1:2", "x:1:3"])
    dry = run(Script(answer(5, 0)), "replay", PRINT, "--dry-run")
    assert dry.output == "would be replayed  5\n"
    machine = run(Script(answer(5, 0)), "discard", PRINT, "--json")
    assert json.loads(machine.stdout) == {"resolution": {"done": 5, "left": 0, "unreplayable": 0}, "dry_run": False}
    assert run(Script(answer(1, 0)), "discard", PRINT, "--limit", "1").output == "discarded  1\n"


def test_a_replay_that_can_do_nothing_fails(run: Callable[..., Result]) -> None:
    assert run(Script(answer(0, 0, 3)), "replay", PRINT).exit_code == 1
    assert run(Script(), "replay", PRINT, "--rate", "0").exit_code == 2
    assert run(Script(), "replay", PRINT, "--limit", "0").exit_code == 2


def test_ctrl_c_says_how_far_it_came(run: Callable[..., Result]) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    done = run(Script(answer(4, 6), interrupt), "replay", PRINT)
    assert done.exit_code == INTERRUPTED
    assert "4 replayed for certain" in done.output
