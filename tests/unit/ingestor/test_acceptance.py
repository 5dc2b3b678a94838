from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from annotated_types import Le

from spanstream.eventlog import sizes
from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Outgoing, Position
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import codec
from spanstream.events.ids import MAX_ID_CHARACTERS, Key
from spanstream.events.topics import ALL
from spanstream.events.v1.document_pb2 import DocumentEvent
from spanstream.ingestor.acceptance import Acceptance
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.documents import (
    MAX_GROUP_CHARACTERS,
    MAX_GROUPS,
    MAX_TITLE_CHARACTERS,
    Delete,
    Upsert,
)
from spanstream.ingestor.heads import Caller, GatewayHeads, HeadsUnavailable, Known
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.metadata import MAX_VALUES, canonical
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.versions import Versions
from spanstream.runtime.free_space import FreeSpace
from spanstream.runtime.problems import Problem

CALLER = Caller("t")


@dataclass
class Index:
    """What a gateway would answer."""

    heads: dict[str, Known] = field(default_factory=dict)
    down: bool = False

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        if self.down:
            raise HeadsUnavailable("down")
        return {id: self.heads[id] for id in ids if id in self.heads}


@dataclass
class World:
    acceptance: Acceptance
    index: Index
    log: MemoryLog
    free: dict[Path, int]  # bytes, by disk
    blobs: Blobs

    def events(self) -> list[DocumentEvent]:
        records = [record for partition in self.log.topics["documents.v1"] for record in partition]
        return [DocumentEvent.FromString(record.value or b"") for record in records]

    def applied(self) -> None:
        """The pipeline has caught up."""
        consumer = self.log.consumer("ingestor", ["documents.v1"], max_records=1000)
        consumer.commit(consumer.poll(0))
        consumer.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    log, index, free, blobs = MemoryLog(), Index(), {tmp_path: 10}, Blobs(f"file:{tmp_path}")
    blobs.make()
    log.ensure_topics(ALL)
    acceptance = Acceptance(
        log.producer(),
        blobs,
        index,
        InFlight(log, refresh_seconds=0),
        Versions(lambda: 100),
        inline_text_bytes=20,
        space=FreeSpace([tmp_path], 10, free.__getitem__),
        now_us=lambda: 5,
    )
    return World(acceptance, index, log, free, blobs)


def document(text: str = "Bees.", version: int | None = None, id: str = "a") -> Upsert:
    return Upsert(Key("t", "s", id), version, "text/plain", text.encode())


@pytest.mark.promise("I19")
def test_versions_rise_strictly_whatever_the_clock_does() -> None:
    times = iter([10, 10, 7, 20])
    versions = Versions(lambda: next(times))
    assert [versions.next() for _ in range(4)] == [10, 11, 12, 20]


def test_a_document_is_published_whole(world: World) -> None:
    given = Upsert(Key("t", "s", "a"), 7, "text/plain", b"Bees.", title="T", metadata={"a": 1}, groups=("y", "x", "x"))
    (receipt,) = world.acceptance.accept(CALLER, [given])
    (event,) = world.events()
    assert (receipt.version, receipt.unchanged) == (7, False)
    assert (event.text, event.title, event.version, list(event.groups)) == ("Bees.", "T", 7, ["x", "y"])
    assert (event.metadata["a"], event.accepted_at_us, event.content_hash) == (1, 5, given.hash())


def test_large_texts_and_files_go_through_the_blob_store(world: World) -> None:
    file = Upsert(Key("t", "s", "f"), None, "application/pdf", b"x", is_file=True)
    world.acceptance.accept(CALLER, [document("B" * 21), document("Bees.", id="b"), file])
    assert {event.id: event.WhichOneof("body") for event in world.events()} == {"a": "blob", "b": "text", "f": "blob"}


@pytest.mark.promise("I20")
def test_without_room_no_document_is_accepted_or_kept_until_there_is_some(world: World, tmp_path: Path) -> None:
    world.free[tmp_path] = 9
    world.index.heads["held"] = Known(3, document().hash(), live=True)
    for refused in ([document("B" * 21)], [document()], [Delete(Key("t", "s", "a"), None), document()]):
        with pytest.raises(Problem) as raised:
            world.acceptance.accept(CALLER, refused)
        assert (raised.value.status, raised.value.retry_after) == (503, 5)
        assert "room on the disk" in str(raised.value.detail)
    assert world.events() == []
    assert world.blobs.count("t") == 0
    (receipt,) = world.acceptance.accept(CALLER, [document(id="held")])  # what the index holds needs no room
    assert receipt.unchanged
    world.acceptance.accept(CALLER, [Delete(Key("t", "s", "a"), None)])  # which may make room
    assert len(world.events()) == 1
    world.free[tmp_path] = 10
    world.acceptance.accept(CALLER, [document("B" * 21)])
    assert world.blobs.count("t") == 1


def test_unchanged_content_is_answered_without_publishing(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    (receipt,) = world.acceptance.accept(CALLER, [document()])
    assert (receipt.version, receipt.unchanged) == (3, True)
    assert world.events() == []


@pytest.mark.parametrize(
    ("given", "head"),
    [
        (document("Wasps."), Known(3, document().hash(), live=True)),
        (document(version=4), Known(3, document().hash(), live=True)),
        (document(), Known(3, document().hash(), live=False)),
        (document(), None),
    ],
    ids=["other content", "higher version", "deleted or failed", "unknown"],
)
def test_everything_else_is_published(world: World, given: Upsert, head: Known | None) -> None:
    if head:
        world.index.heads["a"] = head
    (receipt,) = world.acceptance.accept(CALLER, [given])
    assert not receipt.unchanged
    assert len(world.events()) == 1


def test_an_older_version_of_the_same_content_is_unchanged(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    assert world.acceptance.accept(CALLER, [document(version=2)])[0].unchanged


def test_an_edit_in_flight_is_not_taken_for_the_head(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    world.acceptance.accept(CALLER, [document("Wasps.")])
    (receipt,) = world.acceptance.accept(CALLER, [document()])
    assert not receipt.unchanged
    world.applied()
    world.index.heads["a"] = Known(101, document().hash(), live=True)
    assert world.acceptance.accept(CALLER, [document()])[0].unchanged


def test_a_repeated_id_in_one_call_is_published_in_order(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    receipts = world.acceptance.accept(CALLER, [document("Wasps."), document()])
    assert [receipt.unchanged for receipt in receipts] == [False, False]
    assert [event.text for event in world.events()] == ["Wasps.", "Bees."]


def test_a_delete_before_an_upsert_of_the_held_content_is_kept(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    receipts = world.acceptance.accept(CALLER, [Delete(Key("t", "s", "a"), None), document()])
    assert [receipt.unchanged for receipt in receipts] == [False, False]


def test_without_an_answer_from_the_index_everything_is_published(world: World) -> None:
    world.index.heads["a"] = Known(3, document().hash(), live=True)
    world.index.down = True
    assert not world.acceptance.accept(CALLER, [document()])[0].unchanged


@pytest.mark.promise("I1")
def test_a_log_that_does_not_acknowledge_is_a_503_with_retry_after(tmp_path: Path) -> None:
    class Down:
        def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
            raise LogUnavailable("down")

        def close(self) -> None: ...

    acceptance = Acceptance(
        Down(), Blobs(f"file:{tmp_path}"), None, InFlight(MemoryLog()), Versions(), inline_text_bytes=9
    )
    for text in ("Bees.", *["Bees dance, and tell."] * 3):
        with pytest.raises(Problem) as caught:
            acceptance.accept(CALLER, [document(text)])
        assert (caught.value.status, caught.value.retry_after) == (503, 5)
    assert len({each.stat().st_ino for each in tmp_path.glob("t/s/*/*/*")}) == 1  # sent again it takes no more room


def gateway(status: int, body: object) -> GatewayHeads:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/sources/s/documents:status"
        assert request.headers["authorization"] == "Bearer x"
        return httpx.Response(status, json=body)

    return GatewayHeads("http://gateway", httpx.Client(transport=httpx.MockTransport(answer)))


def test_heads_are_read_from_the_gateway() -> None:
    row = {"source": "s", "id": "a", "state": "searchable", "version": 3, "content_hash": "00" * 32, "failure": None}
    rows = [row, row | {"id": "b", "state": "failed"}, row | {"id": "c", "state": "pending", "content_hash": ""}]
    heads = gateway(200, {"documents": rows})
    found = heads.lookup(Caller("t", "Bearer x"), "s", ["a", "b", "c"])
    assert {id: (head.version, head.content_hash, head.live) for id, head in found.items()} == {
        "a": (3, bytes(32), True),
        "b": (3, bytes(32), False),
    }
    heads.close()


@pytest.mark.parametrize(("status", "body"), [(503, {}), (200, {}), (200, {"documents": [{"id": 1}]}), (403, {})])
def test_a_gateway_without_an_answer(status: int, body: object) -> None:
    heads = gateway(status, body)
    with pytest.raises(HeadsUnavailable):
        heads.lookup(Caller("t", "Bearer x"), "s", ["a"])
    heads.close()


def test_the_largest_document_that_travels_inline_fits_its_topic() -> None:
    """One that did not would be refused only on the way to the log, and the lines of its batch with it."""
    bound = next(one.le for one in IngestorSettings.model_fields["inline_text_bytes"].metadata if isinstance(one, Le))
    wide = "\U0001f41d"
    metadata = {f"{n:04}": wide * 61 for n in range(MAX_VALUES - 1)}  # 65 characters each
    largest = Upsert(
        Key("t" * 64, "s" * 64, wide * MAX_ID_CHARACTERS),
        None,
        "text/plain",
        b"x" * int(str(bound)),
        title=wide * MAX_TITLE_CHARACTERS,
        metadata=canonical(metadata),
        groups=[f"{n:03}" + wide * (MAX_GROUP_CHARACTERS - 3) for n in range(MAX_GROUPS)],
    )
    event = largest.event(2**53 - 1, bytes(32), None, 2**50)
    headers = codec.headers(event, {"traceparent": "0" * 55})
    sizes.check([Outgoing("documents.v1", largest.key.encode(), event.SerializeToString(), headers)])


def test_gateway_is_not_asked_for_who_may_not_read() -> None:
    """It would refuse, and its audit log would tell of a refusal for every write."""

    def asked(request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was asked")

    heads = GatewayHeads("http://gateway", httpx.Client(transport=httpx.MockTransport(asked)))
    with pytest.raises(HeadsUnavailable):
        heads.lookup(Caller("t", "Bearer x", may_read=False), "s", ["a"])
