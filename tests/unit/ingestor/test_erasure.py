"""Receipts and deletes of much at once, on a log and an index in memory and a folder of blobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Outgoing, Position, Producer
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import Key
from spanstream.events.topics import ALL, DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.ingestor.acceptance import Acceptance
from spanstream.ingestor.backlog import Backlog
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.erasure import letters
from spanstream.ingestor.erasure.api import Erasure, router
from spanstream.ingestor.erasure.holdings import Held, HoldingsUnavailable
from spanstream.ingestor.erasure.receipt import SETTLE_US, Place, Seen, receipt
from spanstream.ingestor.failures.lane import Lane
from spanstream.ingestor.heads import Caller
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.versions import Versions
from spanstream.runtime.audit import AuditLog
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.http import application
from spanstream.runtime.key_file import create_key
from spanstream.runtime.signing import Signer, verify
from tests.unit.ingestor.failing import failed, write

NOW = 1_700_000_000.0
DAY = 86_400
KEPT = dict.fromkeys((topic.name for topic in ALL), 7.0 * DAY)
GONE = Held("g", 0, 1, 0, {}, {}, int(NOW * 1e6), int(NOW * 1e6) + SETTLE_US + 1)
A = Key("default", "wiki", "a")


class Index:
    """Says what it is told to, of whatever it is asked."""

    def __init__(self) -> None:
        self.answer: Held | None = GONE
        self.asked: list[tuple[str, str | None, str | None, int]] = []

    def held(self, caller: Caller, source: str | None, id: str | None, live: int = 0) -> Held:
        self.asked.append((caller.tenant, source, id, live))
        if self.answer is None:
            raise HoldingsUnavailable("away")
        return self.answer


class Breaking:
    """A producer that the log may leave after the first message."""

    def __init__(self, producer: Producer) -> None:
        self.breaks = False
        self._producer = producer

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        positions = self._producer.publish(messages[:1] if self.breaks else messages, deadline)
        if self.breaks:
            raise LogUnavailable("down")
        return positions

    def close(self) -> None:
        self._producer.close()


class Bench:
    def __init__(self, folder: Path, *, keys: Path | None = None, kept_ms: int = 7 * DAY * 1000) -> None:
        self.log = MemoryLog(lambda: NOW)
        self.log.ensure_topics([replace(topic, retention_ms=kept_ms) for topic in ALL])
        self.blobs, self.index = Blobs(f"file:{folder / 'blobs'}"), Index()
        self.blobs.make()
        self.signer = Signer.create(folder / "key.pem")
        self.producer = Breaking(self.log.producer())
        self.acceptance = Acceptance(
            self.producer, self.blobs, None, InFlight(self.log), Versions(), inline_text_bytes=100
        )
        erasure = Erasure(self.log, self.blobs, self.index, self.acceptance, self.signer, lambda: NOW)
        self.lane = Lane("erasure", 4)
        self.audit_file = folder / "audit.jsonl"
        authenticator = Authenticator.from_file(str(keys) if keys else None)
        authenticator.audit = AuditLog(self.audit_file)
        app = application("test")
        app.include_router(router(erasure, self.lane, authenticator))
        self.client = TestClient(app)

    def receipt(self, source: str | None = "wiki", id: str | None = "a") -> dict[str, Any]:
        answer = self.client.post("/v1/erasures:receipt", json={"source": source, "id": id})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


def places(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {place["place"]: place for place in told["places"]}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.lane.close()


# --- Receipts ---


def test_a_receipt_of_what_is_gone_is_signed_and_says_when_the_log_has_let_go(bench: Bench) -> None:
    told = bench.receipt()
    verify(told, bench.signer.public_key)
    assert (told["state"], told["tenant"], told["source"], told["id"]) == ("erased", "default", "wiki", "a")
    assert told["gone_by"] == "2023-11-21T22:13:20Z"  # 7 days after NOW
    assert bench.index.asked == [("default", "wiki", "a", 0)]


def test_a_receipt_of_what_nobody_sent_says_that_nothing_is_known_of_it(bench: Bench) -> None:
    assert bench.receipt()["known"]
    bench.index.answer = Held("g", 0, 0, 0, {"old": 0})
    told = bench.receipt(id="never")
    verify(told, bench.signer.public_key)
    assert (told["state"], told["known"], told["tombstones"]) == ("erased", False, 0)
    bench.index.answer = Held("g", 0, 0, 0, {"old": 0}, {"old": 1})
    assert bench.receipt()["known"]  # deleted in another generation
    bench.index.answer = Held("g", 0, 0, 0)
    write(bench.log, failed(A, 3))
    told = bench.receipt()
    assert (told["state"], told["known"]) == ("remaining", True)  # a dead letter of it


@pytest.mark.parametrize(
    ("held", "place"),
    [
        (replace(GONE, documents=1), "index: documents"),
        (replace(GONE, passages=3), "index: passages"),
        (replace(GONE, elsewhere={"old": 2, "older": 0}), "index: generation old"),
        (replace(GONE, cleared_at_us=GONE.deleted_at_us), "index: files"),
        (replace(GONE, elsewhere={"old": 0}, uncleared={"old": 1}), "index: files of generation old"),
    ],
)
def test_what_the_index_still_holds_is_named_and_not_called_erased(bench: Bench, held: Held, place: str) -> None:
    bench.index.answer = held
    told = bench.receipt()
    assert (told["state"], told["gone_by"]) == ("remaining", None)
    unclear = [name for name, each in places(told).items() if not Place(**each).clear]
    assert unclear == [place]


def test_blobs_that_are_left_are_counted(bench: Bench) -> None:
    bench.blobs.put(A, 3, b"bees")
    bench.blobs.put(Key("default", "wiki", "b"), 3, b"bees")
    assert (bench.receipt()["state"], places(bench.receipt())["blobs"]["found"]) == ("remaining", 1)
    assert places(bench.receipt(id=None))["blobs"]["found"] == 2
    assert bench.receipt(id="c")["state"] == "erased"


def test_dead_letters_that_keep_a_records_bytes_are_counted_with_their_time(bench: Bench) -> None:
    write(bench.log, failed(A, 3))
    write(bench.log, failed(Key("default", "wiki", "ab"), 3))
    write(bench.log, failed(Key("other", "wiki", "a"), 3))
    told = places(bench.receipt())["log: failures.v1"]
    assert (told["found"], told["gone_by"]) == (1, "2023-11-21T22:13:20Z")
    assert bench.receipt()["state"] == "remaining"
    assert places(bench.receipt(id=None))["log: failures.v1"]["found"] == 2
    assert places(bench.receipt(source=None, id=None))["log: failures.v1"]["found"] == 2


def test_dead_letters_that_cannot_all_be_read_leave_it_open(bench: Bench) -> None:
    write(bench.log, failed(A, 3))
    late = iter([0.0, letters.READ_SECONDS])
    assert letters.count(bench.log, *A, clock=lambda: next(late)) is None
    told = receipt(*A, Seen(GONE, 0, None, KEPT), NOW)
    assert told.state == "remaining"


def test_topics_that_keep_for_ever_never_make_an_erased_receipt(tmp_path: Path) -> None:
    told = Bench(tmp_path, kept_ms=-1).receipt()
    assert told["state"] == "remaining"
    assert "for ever" in places(told)["log: documents.v1"]["note"]


def test_a_server_does_not_tell_of_its_files_and_the_receipt_says_so() -> None:
    told = receipt(*A, Seen(replace(GONE, cleared_at_us=None), 0, letters.Letters(0, 0), KEPT), NOW)
    assert told.state == "erased"
    assert "index: files" not in [place.place for place in told.places]
    assert any("Qdrant server" in each for each in told.not_looked_at)


def test_without_an_index_there_is_no_receipt(bench: Bench) -> None:
    bench.index.answer = None
    answer = bench.client.post("/v1/erasures:receipt", json={"source": "wiki", "id": "a"})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "a"}, "body.source"),
        ({"source": "WIKI"}, "body.source"),
        ({"source": ""}, "body.source"),
        ({"source": "wiki", "id": ""}, "body.id"),
        ({"source": "wiki", "id": ".."}, "body.id"),
        ({"source": "wiki", "id": "x" * 600}, "body.id"),
        ({"sauce": "wiki"}, "body.sauce"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(bench: Bench, body: dict[str, str], field: str) -> None:
    for path in ("/v1/erasures", "/v1/erasures:receipt"):
        answer = bench.client.post(path, json=body)
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


def test_only_operators_who_see_all_of_it_ask(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    tokens = {
        "writer": create_key(keys, "writer", "acme", ["read", "write"]),
        "grouped": create_key(keys, "grouped", "acme", ["admin"], ["staff"]),
        "sourced": create_key(keys, "sourced", "acme", ["admin"], None, ["wiki"]),
        "operator": create_key(keys, "operator", "acme", ["admin"]),
    }
    bench = Bench(tmp_path, keys=keys)
    bench.index.answer = replace(GONE, live=[])

    def asked(name: str, path: str, source: str | None) -> int:
        headers = {"authorization": f"Bearer {tokens[name]}"}
        return bench.client.post(path, json={"source": source}, headers=headers).status_code

    for path in ("/v1/erasures", "/v1/erasures:receipt"):
        assert [asked(name, path, None) for name in tokens] == [403, 403, 403, 200]
        assert [asked(name, path, "wiki") for name in tokens] == [403, 403, 200, 200]
        assert asked("sourced", path, "other") == 403
    assert {tenant for tenant, *_ in bench.index.asked} == {"acme"}
    bench.lane.close()


# --- Deletes ---


def test_a_source_is_deleted_at_the_versions_that_are_shown(bench: Bench) -> None:
    bench.index.answer = replace(GONE, live=[("wiki", "a", 3), ("wiki", "b", 5)])
    answer = bench.client.post("/v1/erasures", json={"source": "wiki"})
    assert answer.json() == {"deleted": 2}
    records = [record for partition in bench.log.topics[DOCUMENTS.name] for record in partition]
    events = [DocumentEvent.FromString(record.value or b"") for record in records]
    assert sorted((each.operation, each.tenant, each.id, each.version) for each in events) == [
        (OPERATION_DELETE, "default", "a", 3),
        (OPERATION_DELETE, "default", "b", 5),
    ]


@pytest.mark.promise("I25")
def test_the_audit_log_tells_of_deletes_also_where_the_log_failed_half_way(bench: Bench) -> None:
    bench.index.answer = replace(GONE, live=[("wiki", "a", 3), ("talk", "b", 5)])
    assert bench.client.post("/v1/erasures", json={"source": None}).status_code == 200
    bench.producer.breaks = True
    assert bench.client.post("/v1/erasures", json={"source": None}).status_code == 503
    lines = [json.loads(line) for line in bench.audit_file.read_text().splitlines()]
    assert [(line["source"], line["id"], line["version"], line["status"]) for line in lines if "id" in line] == [
        ("wiki", "a", 3, 202),
        ("talk", "b", 5, 202),
        ("wiki", "a", 3, 503),
        ("talk", "b", 5, 503),
    ]


def test_erasures_are_bounded_by_what_waits_to_be_applied(bench: Bench) -> None:
    bench.acceptance.backlog = Backlog(1e9, most_open=1)
    bench.index.answer = replace(GONE, live=[("wiki", "a", 3), ("wiki", "b", 5)])
    answers = [bench.client.post("/v1/erasures", json={"source": None}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "retry-after" in answers[1].headers


def test_where_nothing_is_left_nothing_is_deleted(bench: Bench) -> None:
    assert bench.client.post("/v1/erasures", json={"source": None}).json() == {"deleted": 0}


def test_all_of_a_tenant_is_deleted_only_where_that_is_said(bench: Bench) -> None:
    bench.index.answer = replace(GONE, live=[("wiki", "a", 3)])
    answer = bench.client.post("/v1/erasures", json={})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.source")
    assert not any(bench.log.topics[DOCUMENTS.name])


def test_one_document_is_deleted_at_its_own_address(bench: Bench) -> None:
    assert bench.client.post("/v1/erasures", json={"source": "wiki", "id": "a"}).status_code == 422
