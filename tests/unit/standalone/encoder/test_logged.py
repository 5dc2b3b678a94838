"""The texts that an index holds, told from its log."""

from __future__ import annotations

from spanstream.eventlog.log import Outgoing
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.topics import PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.standalone.encoder.logged import texts


def message(name: str, version: int, text: str, offset: int = 0) -> Outgoing:
    """An event about a document; without a text, its delete."""
    operation = OPERATION_UPSERT if text else OPERATION_DELETE
    event = PassageEvent(tenant="acme", source="wiki", id=name, version=version, operation=operation)
    event.content_hash, event.title, event.text, event.text_offset = bytes(32), f"about {name}", text, offset
    return Outgoing(PASSAGES.name, Key("acme", "wiki", name).encode(), event.SerializeToString(), headers(event))


def test_only_what_was_neither_replaced_nor_deleted_is_told() -> None:
    log = MemoryLog()
    log.ensure_topics([PASSAGES])
    assert list(texts(log)) == []
    log.producer().publish(
        [
            message("edited", 2, "new"),
            message("edited", 1, "old, and late"),
            message("gone", 5, "secret"),
            message("long", 1, "first part"),
            message("long", 1, "second part", offset=10),
            message("gone", 5, ""),
        ]
    )
    log.append(PASSAGES.name, b"not a key", b"not an event")
    found = [("new", "about edited"), ("first part", "about long"), ("second part", "about long")]
    assert sorted(texts(log)) == sorted(found)
