from __future__ import annotations

import pytest

from spanstream.events.codec import decode, headers, key_of
from spanstream.events.errors import Undecodable
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.events.v1 import failure_pb2 as failure
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.passage_pb2 import PassageEvent

KEY = Key("t", "s", "i")


def event(**changes: object) -> DocumentEvent:
    fields = {"tenant": "t", "source": "s", "id": "i", "version": 1, "operation": OPERATION_UPSERT, "text": "x"}
    return DocumentEvent(**(fields | changes))  # type: ignore[arg-type]


def test_an_event_survives_the_wire() -> None:
    sent = event(metadata={"a": [1, {"b": None}]})
    assert decode(DocumentEvent, KEY.encode(), sent.SerializeToString(), headers(sent)) == sent
    assert key_of(sent) == KEY


def test_headers_are_optional_for_direct_producers() -> None:
    assert decode(DocumentEvent, KEY.encode(), event().SerializeToString()) == event()


def test_unknown_fields_of_a_newer_schema_are_accepted() -> None:
    extra = bytes([0b11111010, 0x06, 1, 65])  # field 111, one byte
    assert decode(DocumentEvent, KEY.encode(), event().SerializeToString() + extra).id == "i"


@pytest.mark.parametrize(
    ("key", "value", "told", "reason"),
    [
        (None, event().SerializeToString(), (), failure.REASON_ENVELOPE_UNREADABLE),
        (KEY.encode(), None, (), failure.REASON_ENVELOPE_UNREADABLE),
        (KEY.encode(), b"\xff\xff\xff", (), failure.REASON_ENVELOPE_UNREADABLE),
        (b"\xff", event().SerializeToString(), (), failure.REASON_ENVELOPE_UNREADABLE),
        (KEY.encode(), event().SerializeToString(), (("schema", b"2"),), failure.REASON_SCHEMA_UNKNOWN),
        (KEY.encode(), event().SerializeToString(), headers(PassageEvent()), failure.REASON_SCHEMA_UNKNOWN),
        (b"other/s/i", event().SerializeToString(), (), failure.REASON_TENANT_MISMATCH),
        (KEY.encode(), event(tenant="").SerializeToString(), (), failure.REASON_SCHEMA_INVALID),
        (KEY.encode(), event(operation=0).SerializeToString(), (), failure.REASON_SCHEMA_INVALID),
        (KEY.encode(), event(operation=7).SerializeToString(), (), failure.REASON_SCHEMA_INVALID),
        (KEY.encode(), event(content_hash=b"short").SerializeToString(), (), failure.REASON_SCHEMA_INVALID),
        (KEY.encode(), event(version=-1).SerializeToString(), (), failure.REASON_VERSION_OUT_OF_RANGE),
        (KEY.encode(), event(version=MAX_VERSION + 1).SerializeToString(), (), failure.REASON_VERSION_OUT_OF_RANGE),
    ],
)
def test_a_bad_record_is_undecodable_with_its_reason(
    key: bytes | None, value: bytes | None, told: tuple[tuple[str, bytes], ...], reason: int
) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(DocumentEvent, key, value, told)
    assert caught.value.reason == reason
