"""What a dead letter keeps, and that it can always be written."""

from __future__ import annotations

import random

import pytest

from spanstream.eventlog import sizes
from spanstream.eventlog.dead_letters import MAX_DETAIL, crash, dead_letter
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events import topics
from spanstream.events.codec import decode_failure
from spanstream.events.ids import Key
from spanstream.events.topics import Topic
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import REASON_EMPTY_TEXT, REASON_HANDLER_CRASH, FailureEvent, Reason
from spanstream.events.v1.passage_pb2 import PassageEvent

KEY = Key("acme", "wiki", "page/1")
DOCUMENT = DocumentEvent(tenant="acme", source="wiki", id="page/1", version=7, operation=OPERATION_UPSERT)
PASSAGE = PassageEvent(tenant="acme", source="wiki", id="page/1", version=8, operation=OPERATION_UPSERT)


def written(
    topic: str,
    value: bytes | None,
    key: bytes | None = KEY.encode(),
    reason: Reason = REASON_EMPTY_TEXT,
    detail: str = "the text is empty",
) -> tuple[Outgoing, FailureEvent]:
    record = Record(topic, 2, 5, key, value, (("message", b"m"), ("empty", b"")))
    message = dead_letter(Rejected(record, reason, detail), stage="ingestor", failed_at_us=11)
    assert message is not None
    return message, decode_failure(message.value)


def test_the_record_is_kept_byte_for_byte_under_its_own_key() -> None:
    message, failure = written("documents.v1", DOCUMENT.SerializeToString())
    assert (message.topic, message.key) == ("failures.v1", KEY.encode())
    assert dict(message.headers)["message"] == b"spanstream.events.v1.FailureEvent"
    assert (failure.topic, failure.partition, failure.offset) == ("documents.v1", 2, 5)
    assert (failure.key, failure.value) == (KEY.encode(), DOCUMENT.SerializeToString())
    assert [(header.name, header.value) for header in failure.headers] == [("message", b"m"), ("empty", b"")]
    assert (failure.stage, failure.reason, failure.failed_at_us, failure.attempts) == (
        "ingestor",
        REASON_EMPTY_TEXT,
        11,
        1,
    )


@pytest.mark.parametrize(
    ("topic", "event", "version"),
    [
        ("documents.v1", DOCUMENT, 7),
        ("passages.v1", PASSAGE, 8),
        ("embeddings.v1", EmbeddingEvent(origin=PASSAGE), 8),
    ],
)
def test_identity_and_version_are_read_from_every_topics_event(
    topic: str, event: DocumentEvent | PassageEvent | EmbeddingEvent, version: int
) -> None:
    _, failure = written(topic, event.SerializeToString())
    assert (failure.tenant, failure.source, failure.id, failure.version) == (*KEY, version)


@pytest.mark.parametrize("value", [None, b"\xff\xff\xff", b"\x0a\xff"])
def test_of_an_unreadable_value_the_key_still_says_which_document(value: bytes | None) -> None:
    message, failure = written("documents.v1", value)
    assert (failure.tenant, failure.source, failure.id, failure.version) == (*KEY, 0)
    assert failure.value == (value or b"")
    assert message.key == KEY.encode()


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"no/two", b"a/b/c/d"])
def test_an_unreadable_key_stays_as_it_is_and_identifies_nothing(key: bytes | None) -> None:
    message, failure = written("documents.v1", DOCUMENT.SerializeToString(), key)
    assert message.key == (key or b"")
    assert (failure.tenant, failure.source, failure.id, failure.version) == ("", "", "", 0)


def test_where_key_and_event_disagree_neither_is_believed() -> None:
    _, failure = written("documents.v1", DOCUMENT.SerializeToString(), Key("acme", "wiki", "another").encode())
    assert (failure.tenant, failure.source, failure.id, failure.version) == ("", "", "", 0)


@pytest.mark.parametrize("topic", [topic for topic in topics.ALL if topic.dead_letters], ids=lambda topic: topic.name)
def test_a_record_at_the_limit_of_its_topic_fits_whole(topic: Topic) -> None:
    noise = random.Random(3).randbytes(topic.max_message_bytes)
    value = noise[: topic.max_message_bytes - 200]
    assert sizes.size(Outgoing(topic.name, KEY.encode(), value)) > topic.max_message_bytes - 100
    message, failure = written(topic.name, value, detail="x" * 1000)
    assert failure.value == value
    assert len(failure.detail) == MAX_DETAIL
    sizes.check([message])


def test_a_record_larger_than_any_of_ours_is_named_without_its_bytes() -> None:
    message, failure = written("documents.v1", bytes(50 << 20))
    sizes.check([message])
    assert (failure.topic, failure.partition, failure.offset, failure.value) == ("documents.v1", 2, 5, b"")
    assert "bytes left out" in failure.detail


def test_a_key_larger_than_any_of_ours_is_left_out_too() -> None:
    message, failure = written("documents.v1", b"v", key=b"k" * (1 << 20))
    assert sizes.size(message) <= sizes.limit("failures.v1")
    assert (message.key, failure.key, failure.offset) == (b"", b"", 5)
    assert "left out" in failure.detail


def test_a_record_of_the_dead_letter_topic_has_no_dead_letter() -> None:
    record = Record("failures.v1", 0, 0, b"k", b"v")
    assert dead_letter(Rejected(record, REASON_EMPTY_TEXT, "x"), stage="indexer", failed_at_us=0) is None


def test_alike_failures_share_a_fingerprint() -> None:
    _, one = written("documents.v1", b"", detail="page 3 is empty")
    _, same = written("documents.v1", b"", detail="page 4 is empty")
    _, crashed = written("documents.v1", b"", reason=REASON_HANDLER_CRASH, detail="ValueError in a.py:f")
    _, elsewhere = written("documents.v1", b"", reason=REASON_HANDLER_CRASH, detail="ValueError in b.py:g")
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, crashed.fingerprint, elsewhere.fingerprint}) == 3


def test_a_crash_tells_where_but_not_what_the_error_said() -> None:
    def fail() -> None:
        raise ValueError("a line of the document")

    try:
        fail()
    except ValueError as error:
        rejected = crash(Record("documents.v1", 0, 0, None, None), error)
    assert rejected.detail == "ValueError in test_dead_letters.py:fail"
    assert rejected.reason == REASON_HANDLER_CRASH
