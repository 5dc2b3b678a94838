from __future__ import annotations

import pytest

from spanstream.events.ids import Key, content_hash
from spanstream.events.v1.document_pb2 import DocumentEvent
from spanstream.ingestor.documents import DocumentBody, upsert
from spanstream.ingestor.expiry import microseconds

KEY = Key("acme", "wiki", "a")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T01:00:01+01:00", 1_000_000),
        ("2030-01-31T00:00:00.000001Z", 1_896_048_000_000_001),
    ],
)
def test_a_moment_is_microseconds_since_1970(moment: str, expected: int) -> None:
    assert microseconds(moment) == expected


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("tomorrow", "must be a moment"),
        ("2030-01-31T00:00:00", "time zone"),
        ("2030-01-31", "time zone"),
        ("1969-01-01T00:00:00Z", "between"),
        ("2300-01-01T00:00:00Z", "between"),
    ],
)
def test_what_is_no_moment_is_refused(moment: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        microseconds(moment)


def document(**fields: str) -> DocumentBody:
    return DocumentBody.model_validate({"text": "Bees.", **fields})


def test_the_event_carries_the_moment_and_another_moment_is_another_content() -> None:
    never, soon, late = (
        upsert(KEY, document(**fields), 100)
        for fields in ({}, {"expires_at": "2030-01-01T00:00:00Z"}, {"expires_at": "2031-01-01T00:00:00Z"})
    )
    event: DocumentEvent = soon.event(7, soon.hash(), None, 5)
    assert event.expires_at_us == microseconds("2030-01-01T00:00:00Z")
    assert never.event(7, never.hash(), None, 5).expires_at_us == 0
    assert len({never.hash(), soon.hash(), late.hash()}) == 3
    plain = content_hash(title="", content_type="text/plain", body=b"Bees.", metadata={}, groups=())
    assert never.hash() == plain
