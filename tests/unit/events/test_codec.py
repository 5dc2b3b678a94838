from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

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


@pytest.mark.promise("I22")
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


WHOLE = event(metadata={"a": [1, "x"]}, groups=["g"], title="T").SerializeToString()
CHANGED = some.tuples(some.integers(0, len(WHOLE)), some.integers(0, 20), some.binary(max_size=20)).map(
    lambda change: WHOLE[: change[0]] + change[2] + WHOLE[change[0] + change[1] :]
)


@given(some.one_of(some.binary(max_size=200), CHANGED), some.one_of(some.just(KEY.encode()), some.binary(max_size=20)))
def test_any_bytes_are_an_event_or_undecodable(value: bytes, key: bytes) -> None:
    try:
        found = decode(DocumentEvent, key, value)
    except Undecodable as error:
        reason = error.reason
    else:
        reason = None
        assert key_of(found).encode() == key
        assert 0 <= found.version <= MAX_VERSION
    assert reason != failure.REASON_UNSPECIFIED


def test_headers_of_others_are_passed_over_however_many() -> None:
    others = tuple((f"h{number}", b"\xff\xfe") for number in range(10_000))
    assert decode(DocumentEvent, KEY.encode(), event().SerializeToString(), (*others, *headers(event()))) == event()
    with pytest.raises(Undecodable) as caught:
        decode(DocumentEvent, KEY.encode(), event().SerializeToString(), (("message", b"\xff\xfe"),))
    assert caught.value.reason == failure.REASON_SCHEMA_UNKNOWN
