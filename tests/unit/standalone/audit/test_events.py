from __future__ import annotations

from typing import Any

from spanstream.eventlog.log import Record
from spanstream.events.codec import headers
from spanstream.events.ids import Key, Order
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent
from spanstream.standalone.audit.events import ANY_HASH, Event, event_of
from tests.fixtures.store import hash_of

KEY = Key("acme", "wiki", "d")


def record(**fields: Any) -> Record:
    event = DocumentEvent(tenant="acme", source="wiki", id="d", version=3, **{"operation": OPERATION_UPSERT} | fields)
    return Record(DOCUMENTS.name, 1, 7, KEY.encode(), event.SerializeToString(), headers(event))


def order(**fields: Any) -> Order:
    found = event_of(record(**fields))
    assert found is not None
    key, event = found
    assert (key, event.partition, event.offset) == (KEY, 1, 7)
    return event.order


def test_a_hash_that_an_event_names_is_not_believed() -> None:
    assert order(text="words", content_hash=hash_of("x")) == order(text="words")
    assert order(text="words") != order(text="other words")


def test_a_blobs_hash_is_the_events_which_the_worker_checks() -> None:
    hashed = hash_of("x")
    assert order(blob="acme/x", content_hash=hashed) == Order.of(3, hashed, False)


def test_a_blob_whose_hash_nobody_named_is_any_content_of_its_version() -> None:
    unknown = order(blob="acme/x")
    assert unknown.hash52 == ANY_HASH
    event = Event(unknown, 1, 7)
    assert event.is_shown_by(Order.of(3, hash_of("x"), False))
    assert not event.is_shown_by(Order.of(3, hash_of("x"), True))
    assert not event.is_shown_by(Order.of(4, hash_of("x"), False))


def test_a_delete_ranks_above_an_upsert_of_its_version() -> None:
    assert order(operation=OPERATION_DELETE) > order(text="words")


def test_what_no_worker_can_read_says_nothing() -> None:
    assert event_of(Record(DOCUMENTS.name, 0, 0, KEY.encode(), b"\xff\xff")) is None
    assert event_of(Record(DOCUMENTS.name, 0, 0, None, None)) is None
