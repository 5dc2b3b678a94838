"""The dead-letter workbench over HTTP, on a log in memory."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Outgoing, Position
from spanstream.eventlog.memory import MemoryLog, MemoryProducer
from spanstream.eventlog.partitions import partition_of
from spanstream.events.codec import decode_failure
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, DOCUMENTS, FAILURES
from spanstream.events.v1.failure_pb2 import REASON_EMPTY_TEXT, RESOLUTION_DISCARDED, RESOLUTION_REPLAYED
from spanstream.ingestor.failures import api
from spanstream.ingestor.failures.following import READ_SECONDS, Following
from spanstream.ingestor.failures.lane import Busy, Lane
from spanstream.ingestor.failures.resolving import SLICE_SECONDS, Resolving
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.http import application
from spanstream.runtime.key_file import create_key
from tests.unit.ingestor.failing import everything, failed, letter, superseded, write


class Producer(MemoryProducer):
    """Publishes, but for the calls from number `at` on, which the log does not acknowledge."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.at: float = float("inf")
        self.calls = 0

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        self.calls += 1
        if self.calls > self.at:
            raise LogUnavailable("away")
        return super().publish(messages, deadline)


class Bench:
    """The routes over a log; only sleeping, and `tick` seconds with each look at the clock, move the time."""

    def __init__(self, keys: Path | None = None, max_bytes: int = 2**24) -> None:
        ticks = itertools.count()
        self.log = MemoryLog(clock=lambda: next(ticks))
        self.log.ensure_topics(ALL)
        self.now, self.tick = 0.0, 0.0
        self.slept: list[float] = []
        self.producer = Producer(self.log)
        self.following = Following(self.log, max_bytes, self.clock)
        resolving = Resolving(
            self.log, self.producer, self.following, clock=self.clock, sleep=self.sleep, now_us=lambda: 99
        )
        self.lanes = Lane("reading", 4), Lane("acting", 4)
        app = application("test")
        authenticator = Authenticator.from_file(str(keys) if keys else None)
        app.include_router(api.router(self.following, resolving, *self.lanes, authenticator))
        self.client = TestClient(app)

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def fail(self, id: str = "a", version: int = 3, tenant: str = "default", **more: Any) -> Outgoing:
        message = failed(Key(tenant, "wiki", id), version, **more)
        write(self.log, message)
        return message

    def groups(self, key: str = "") -> list[dict[str, Any]]:
        answer = self.client.get("/v1/failures", headers=_bearer(key))
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["groups"]
        return found

    def post(self, verb: str, fingerprint: str = "", key: str = "", status: int = 200, **body: Any) -> dict[str, Any]:
        name = fingerprint or letter(failed(Key("default", "wiki", "a"))).fingerprint
        answer = self.client.post(f"/v1/failures/{name}:{verb}", json=body, headers=_bearer(key))
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def sent(self) -> list[str]:
        """Ids of the documents whose records were sent again, in order."""
        return [Key.decode(record.key or b"").id for record in everything(self.log, DOCUMENTS.name)]

    def resolutions(self) -> list[int]:
        events = [decode_failure(record.value) for record in everything(self.log, FAILURES.name)]
        return [event.resolution for event in events if event.resolution]

    def close(self) -> None:
        for lane in self.lanes:
            lane.close()
        self.following.close()


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.client:
        yield bench
    bench.close()


FINGERPRINT = letter(failed(Key("default", "wiki", "a"))).fingerprint


def test_failures_are_listed_by_cause_with_the_reason_in_words(bench: Bench) -> None:
    assert bench.groups() == []
    bench.fail("a", offset=1, at_us=5)
    bench.fail("b", offset=2, at_us=7, detail="page 9 cannot be read")
    bench.fail("c", offset=3, at_us=6, reason=REASON_EMPTY_TEXT)
    first, second = bench.groups()
    assert first == {
        "fingerprint": FINGERPRINT,
        "stage": "ingestor",
        "reason": "PARSE_FAILED",
        "meaning": "The file is damaged, or not of the type that it claims.",
        "detail": "page 9 cannot be read",
        "count": 2,
        "replayable": 2,
        "documents": 2,
        "first_at_us": 5,
        "last_at_us": 7,
        "samples": ["documents.v1:1:2", "documents.v1:1:1"],
    }
    assert (second["reason"], second["count"]) == ("EMPTY_TEXT", 1)
    bench.fail("d", offset=4, at_us=8)  # it is told of what came since
    assert bench.groups()[0]["count"] == 3


def test_the_records_of_a_cause_are_paged_the_newest_first(bench: Bench) -> None:
    for n in range(7):
        bench.fail(f"d{n}", n, offset=n, at_us=n // 2)
    seen: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = bench.client.get(f"/v1/failures/{FINGERPRINT}", params=params).json()
        assert page["group"]["count"] == 7
        seen += page["records"]
        if page["cursor"] is None:
            break
        params["cursor"] = page["cursor"]
    assert [row["document"] for row in seen] == ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]
    last = seen[0]
    assert last["bytes"] > 0
    assert {name: last[name] for name in last if name not in ("bytes", "detail")} == {
        "id": "documents.v1:1:6",
        "source": "wiki",
        "document": "d6",
        "version": 6,
        "attempts": 1,
        "replays": 0,
        "failed_at_us": 3,
        "topic": "documents.v1",
        "partition": 1,
        "offset": 6,
        "replayable": True,
    }


def test_a_replay_sends_the_bytes_that_failed_and_closes_the_dead_letter(bench: Bench) -> None:
    dead = decode_failure(bench.fail("a", offset=1).value)
    told = bench.post("replay")
    assert (told["done"], told["left"], told["unreplayable"]) == (1, 0, 0)
    (sent,) = everything(bench.log, DOCUMENTS.name)
    assert (sent.key, sent.value) == (dead.key, dead.value)
    assert dict(sent.headers)["replay"] == b"1"
    assert dict(sent.headers)["traceparent"] == b"00-aa-bb-01"
    resolution = decode_failure(everything(bench.log, FAILURES.name)[-1].value)
    assert (resolution.resolution, resolution.offset, resolution.failed_at_us) == (RESOLUTION_REPLAYED, 1, 1)
    assert resolution.tenant == ""  # else an indexer that knows no resolutions would note a failure
    assert bench.groups() == []
    bench.post("replay", status=404)
    assert bench.sent() == ["a"]


def test_a_discard_closes_the_dead_letters_and_sends_nothing(bench: Bench) -> None:
    for n in range(3):
        bench.fail(f"d{n}", offset=n)
    told = bench.post("discard", ids=["documents.v1:1:1"])
    assert (told["done"], told["left"]) == (1, 0)
    assert [row["count"] for row in bench.groups()] == [2]
    assert bench.post("discard")["done"] == 2
    assert (bench.groups(), bench.sent()) == ([], [])
    assert bench.resolutions() == [RESOLUTION_DISCARDED] * 3


def test_what_was_resolved_stays_so_for_another_process(bench: Bench) -> None:
    for n in range(4):
        bench.fail(f"d{n}", offset=n)
    bench.post("replay", limit=1)
    bench.post("discard", limit=1)
    write(bench.log, superseded(Key("default", "wiki", "d2"), 3))
    other = Bench()
    other.log.topics = bench.log.topics
    assert [row["samples"] for row in other.groups()] == [["documents.v1:1:3"]]
    other.close()


def test_a_dry_run_says_how_many_and_does_nothing(bench: Bench) -> None:
    for n in range(4):
        bench.fail(f"d{n}", offset=n)
    assert bench.post("replay", dry_run=True, limit=3)["done"] == 3
    told = bench.post("discard", dry_run=True)
    assert (told["done"], told["left"]) == (4, 0)
    assert (bench.sent(), bench.resolutions()) == ([], [])
    assert bench.groups()[0]["count"] == 4


def test_the_oldest_go_first_and_the_rest_is_left(bench: Bench) -> None:
    for n in range(5):
        bench.fail(f"d{n}", offset=n, at_us=10 - n)
    told = bench.post("replay", limit=2)
    assert (told["done"], told["left"]) == (2, 3)
    assert sorted(bench.sent()) == ["d3", "d4"]


def test_what_fails_again_meanwhile_is_not_sent_again_by_the_same_command(bench: Bench) -> None:
    bench.fail("a", offset=1)
    bench.fail("b", offset=2)
    until = bench.post("replay", limit=1)["until"]
    for n in range(20):  # in every partition
        bench.fail(f"again {n}", offset=10 + n)
    told = bench.post("replay", until=until)
    assert (told["done"], told["left"]) == (1, 0)
    assert sorted(bench.sent()) == ["a", "b"]
    assert bench.groups()[0]["count"] == 20


def test_dead_letters_without_bytes_are_told_and_cannot_be_sent(bench: Bench) -> None:
    bench.fail("large", offset=1, value=bytes(3_000_000))
    bench.fail("small", offset=2)
    assert (bench.groups()[0]["count"], bench.groups()[0]["replayable"]) == (2, 1)
    told = bench.post("replay")
    assert (told["done"], told["left"], told["unreplayable"]) == (1, 0, 1)
    page = bench.client.get(f"/v1/failures/{FINGERPRINT}").json()["records"]
    assert [(row["document"], row["replayable"], row["bytes"]) for row in page] == [("large", False, 0)]
    assert "bytes left out" in page[0]["detail"]
    assert bench.post("discard")["done"] == 1


def test_the_rate_is_kept_within_a_request_and_over_many(bench: Bench) -> None:
    for n in range(500):
        bench.fail(f"d{n}", offset=n)
    done, until = 0, None
    while True:
        began = bench.now
        told = bench.post("replay", rate_per_second=40, **({"until": until} if until else {}))
        until = told["until"]
        done += told["done"]
        assert bench.now - began == pytest.approx(told["done"] / 40)
        assert told["done"] <= 40 * (SLICE_SECONDS + 0.1)
        if not told["left"]:
            break
    assert done == len(set(bench.sent())) == 500
    assert bench.now == pytest.approx(500 / 40)


def test_a_crash_between_record_and_resolution_only_sends_the_record_once_more(bench: Bench) -> None:
    bench.fail("a", offset=1)
    bench.producer.at = 1
    bench.post("replay", status=503)
    assert (bench.sent(), bench.resolutions()) == (["a"], [])
    bench.producer.at = float("inf")
    assert bench.groups()[0]["count"] == 1
    assert bench.post("replay")["done"] == 1
    assert bench.sent() == ["a", "a"]


def test_tenants_and_groups_are_apart(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = {
        "all": create_key(file, "all", "acme"),
        "staff": create_key(file, "staff", "acme", frozenset({"read", "write"}), ["staff"]),
        "other": create_key(file, "other", "other"),
        "reads": create_key(file, "reads", "acme", frozenset({"read"})),
        "writes": create_key(file, "writes", "acme", frozenset({"write"})),
    }
    bench = Bench(file)
    bench.fail("open", tenant="acme", offset=1)
    bench.fail("staff", tenant="acme", offset=2, groups=("staff",))
    bench.fail("board", tenant="acme", offset=3, groups=("board",))
    bench.fail("unreadable", tenant="acme", offset=4, value=b"\xff")
    with bench.client:
        assert [row["count"] for row in bench.groups(keys["all"])] == [4]
        assert [row["count"] for row in bench.groups(keys["staff"])] == [2]
        assert bench.groups(keys["other"]) == []
        foreign = bench.client.get(f"/v1/failures/{FINGERPRINT}", headers=_bearer(keys["other"]))
        unknown = bench.client.get(f"/v1/failures/{'0' * 16}", headers=_bearer(keys["all"]))
        same = [{**each.json(), "request_id": ""} for each in (foreign, unknown)]
        assert foreign.status_code == 404
        assert same[0] == same[1]
        for verb in ("replay", "discard"):
            bench.post(verb, key=keys["other"], status=404)
            bench.post(verb, key=keys["reads"], status=403)
            bench.post(verb, key=keys["writes"], status=403)
            bench.post(verb, key=keys["staff"], ids=["documents.v1:1:3", "documents.v1:1:4"])
            bench.post(verb, status=401)
        assert (bench.sent(), bench.resolutions()) == ([], [])
        assert bench.client.get("/v1/failures").status_code == 401
        assert bench.client.get("/v1/failures", headers=_bearer(keys["writes"])).status_code == 403
        assert bench.post("replay", key=keys["staff"])["done"] == 2
        assert sorted(bench.sent()) == ["open", "staff"]
        assert [row["count"] for row in bench.groups(keys["all"])] == [2]
    bench.close()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 0}, "body.limit"),
        ({"limit": "5"}, "body.limit"),
        ({"dry_run": "no"}, "body.dry_run"),
        ({"limit": 1001}, "body.limit"),
        ({"rate_per_second": 0}, "body.rate_per_second"),
        ({"rate_per_second": 10**6}, "body.rate_per_second"),
        ({"ids": []}, "body.ids"),
        ({"ids": ["x" * 301]}, "body.ids.0"),
        ({"until": "nonsense"}, "body.until"),
        ({"until": "x" * 9000}, "body.until"),
        ({"of": "all"}, "body.of"),
    ],
)
def test_a_replay_that_is_none_is_refused(bench: Bench, body: dict[str, Any], field: str) -> None:
    bench.fail()
    told = bench.post("replay", status=422, **body)
    assert [error["field"] for error in told["errors"]] == [field]
    assert bench.sent() == []


def test_a_fingerprint_or_cursor_that_is_none_is_refused(bench: Bench) -> None:
    bench.fail()
    assert bench.client.get("/v1/failures/nonsense").status_code == 422
    for cursor in ("x", "1", "-1~a", "²~a", "x" * 401):
        answer = bench.client.get(f"/v1/failures/{FINGERPRINT}", params={"cursor": cursor})
        assert answer.status_code == 422, cursor
        assert answer.json()["errors"][0]["field"] == "query.cursor"


def test_a_dead_letter_that_the_log_holds_no_more_is_let_go(bench: Bench) -> None:
    bench.fail("a", offset=1)
    bench.fail("b", offset=2)
    assert bench.groups()[0]["count"] == 2
    for part in bench.log.topics[FAILURES.name]:  # the topic is another
        part[:] = [record for record in part if record.key == b"default/wiki/b"] * 2
    told = bench.post("replay")
    assert told["done"] <= 1
    assert "a" not in bench.sent()


def test_a_topic_that_was_made_anew_is_read_from_its_start(bench: Bench) -> None:
    for n in range(5):
        bench.fail("a", offset=n)
    assert bench.groups()[0]["count"] == 5
    for part in bench.log.topics[FAILURES.name]:
        part.clear()
    bench.fail("a", offset=9)
    assert bench.groups()[0]["samples"] == ["documents.v1:1:9"]


@pytest.mark.parametrize("partitions", [1, 6])
def test_what_had_no_room_is_listed_once_others_are_resolved(partitions: int) -> None:
    bench = Bench(max_bytes=10 * letter(failed(Key("default", "wiki", "d1"))).cost)
    names = (f"d{n:03}" for n in itertools.count())
    chosen = (name for name in names if partition_of(Key("default", "wiki", name).encode(), 6) < partitions)
    for n, name in enumerate(itertools.islice(chosen, 25)):
        bench.fail(name, offset=n, at_us=n)
    with bench.client:
        assert bench.client.get("/v1/failures").json()["left_out"]
        seen = set()
        for _ in range(10):
            told = bench.client.get("/v1/failures").json()
            if not told["groups"]:
                break
            assert told["groups"][0]["count"] <= 10
            seen.update(row["document"] for row in bench.client.get(f"/v1/failures/{FINGERPRINT}").json()["records"])
            bench.post("discard")
    assert len(seen) == 25
    assert not told["left_out"]
    bench.close()


def test_a_log_that_is_long_is_read_over_several_questions(bench: Bench) -> None:
    for n in range(2_000):
        bench.fail(f"d{n}", offset=n)
    bench.tick = READ_SECONDS / 3
    answers = [bench.client.get("/v1/failures")]
    while answers[-1].status_code == 503:
        assert answers[-1].headers["retry-after"] == "1"
        answers.append(bench.client.get("/v1/failures"))
    assert len(answers) > 1
    assert answers[-1].json()["groups"][0]["count"] == 2_000


def test_a_log_that_does_not_answer_is_503_and_is_asked_again(bench: Bench) -> None:
    bench.fail()
    ends = bench.log.end_offsets

    def away(_: str) -> dict[int, int]:
        raise LogUnavailable("away")

    bench.log.end_offsets = away  # type: ignore[method-assign]
    assert bench.client.get("/v1/failures").status_code == 503
    bench.log.end_offsets = ends  # type: ignore[method-assign]
    assert bench.groups()[0]["count"] == 1


def test_work_waits_in_a_bounded_queue() -> None:
    lane, free = Lane("test", 2), threading.Event()

    async def ask() -> list[Any]:
        first = [asyncio.create_task(lane.run(work)) for work in (_waiting(free), lambda: "second")]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await lane.run(lambda: "third")
        free.set()
        return await asyncio.gather(*first) + [await lane.run(lambda: "fourth")]

    assert asyncio.run(ask()) == ["first", "second", "fourth"]
    lane.close()


def _waiting(free: threading.Event) -> Callable[[], str]:
    def work() -> str:
        free.wait(90)
        return "first"

    return work


def test_the_description_names_every_problem(bench: Bench) -> None:
    paths = bench.client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {
        "/v1/failures",
        "/v1/failures/{fingerprint}",
        "/v1/failures/{fingerprint}:replay",
        "/v1/failures/{fingerprint}:discard",
    }
    replay = paths["/v1/failures/{fingerprint}:replay"]["post"]["responses"]
    assert set(replay) == {"200", "400", "401", "403", "404", "415", "422", "429", "503"}


def test_a_body_that_is_no_json_is_said_to_be_so(bench: Bench) -> None:
    bench.fail()
    url = f"/v1/failures/{FINGERPRINT}:replay"
    answers: list[httpx.Response] = [
        bench.client.post(url, content=b"{", headers={"content-type": "application/json"}),
        bench.client.post(url, content=b"{}", headers={"content-type": "text/plain"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 415]
