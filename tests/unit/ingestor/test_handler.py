from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events import codec
from spanstream.events.ids import Key, content_hash
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent, Operation
from spanstream.events.v1.failure_pb2 import (
    REASON_BLOB_HASH,
    REASON_BLOB_MISSING,
    REASON_EMPTY_TEXT,
    REASON_ENCRYPTED,
    REASON_ENVELOPE_UNREADABLE,
    REASON_PARSE_LIMIT,
    REASON_SCHEMA_INVALID,
    REASON_TENANT_MISMATCH,
    REASON_TOO_MANY_PASSAGES,
    REASON_TYPE_UNSUPPORTED,
    REASON_VERSION_OUT_OF_RANGE,
    Reason,
)
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.parsing.formats import parse
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParserUnavailable
from tests.unit.ingestor import files

KEY = Key("t", "s", "a/b")
_offsets = count()


def parse_here(kind: Kind, data: bytes) -> Parsed:
    return parse(kind, data, Limits())


def record(event: DocumentEvent, key: Key | None = KEY, partition: int = 0, logged_ms: int = 0) -> Record:
    value, headers = event.SerializeToString(), codec.headers(event)
    return Record("documents.v1", partition, next(_offsets), key and key.encode(), value, headers, logged_ms)


def event(**fields: Any) -> DocumentEvent:
    given: dict[str, Any] = {"tenant": "t", "source": "s", "id": "a/b", "version": 7, "operation": OPERATION_UPSERT}
    return DocumentEvent(**(given | fields))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    made = Blobs(f"file:{tmp_path}")
    made.make()
    return made


@pytest.fixture
def handler(blobs: Blobs) -> Handler:
    return Handler(blobs, parse_here, Cutting(), remembered_keys=10)


def passages(results: Iterable[Outgoing | Rejected]) -> list[PassageEvent]:
    found = []
    for result in results:
        assert isinstance(result, Outgoing), result
        assert result.topic == "passages.v1"
        found.append(codec.decode(PassageEvent, result.key, result.value, result.headers))
    return found


def reason(results: Iterable[Outgoing | Rejected]) -> Reason:
    (result,) = results
    assert isinstance(result, Rejected), result
    return result.reason


def test_text_becomes_passages_with_exact_spans(handler: Handler) -> None:
    given = event(text="Bees dance.\r\nThey tell.", title="On bees", groups=["g"], accepted_at_us=5)
    given.metadata.update({"year": 1927})
    (found,) = passages(handler([record(given)]))
    assert found.text == "Bees dance.\nThey tell."
    assert [(p.ordinal, p.start, p.end, list(p.spans)) for p in found.passages] == [(0, 0, 22, [0, 11, 12, 22])]
    assert (found.passage_count, found.version, found.title, list(found.groups)) == (1, 7, "On bees", ["g"])
    assert (found.accepted_at_us, found.metadata["year"], found.content_type) == (5, 1927, "text/plain")
    assert found.parser == "text/1"
    assert found.segmenter.startswith("passages/3 sentencex/")
    assert not found.unchanged


def test_a_missing_content_hash_is_computed(handler: Handler) -> None:
    (found,) = passages(handler([record(event(text="Bees.", content_type="text/plain"))]))
    expected = content_hash(title="", content_type="text/plain", body=b"Bees.", metadata={}, groups=())
    assert found.content_hash == expected


def test_the_hash_is_the_same_on_both_sides_of_the_wire(handler: Handler) -> None:
    metadata: dict[str, Any] = {"a": 1, "b": 2.5, "c": [True, None, {"d": "x"}], "e": -3}
    given = event(text="Bees.")
    given.metadata.update(metadata)
    (found,) = passages(handler([record(given)]))
    assert found.content_hash == content_hash(title="", content_type="", body=b"Bees.", metadata=metadata, groups=())


def test_a_delete_is_forwarded(handler: Handler) -> None:
    (found,) = passages(handler([record(event(operation=OPERATION_DELETE, version=9))]))
    assert (found.operation, found.version, len(found.content_hash), found.passage_count) == (2, 9, 32, 0)


@pytest.mark.parametrize("operation", [OPERATION_UPSERT, OPERATION_DELETE])
def test_what_a_record_holds_beside_the_document_does_not_travel(handler: Handler, operation: Operation) -> None:
    """A record that its topic just takes would be too large for the next one with what is added."""
    given = event(operation=operation, text="Bees.")
    given.metadata.update({"year": 1927})
    given.metadata.MergeFromString(b"\x7a\xc0\x84\x3d" + bytes(1_000_000))  # a field 15, unknown
    if operation == OPERATION_DELETE:
        given.title, given.content_type = "t" * 1000, "c" * 1000
        given.groups.extend("g" * 1000 for _ in range(100))
    (found,) = passages(handler([record(given)]))
    assert found.ByteSize() < 1000


def test_a_long_document_travels_in_parts_that_make_it_whole(blobs: Blobs) -> None:
    cutting = Cutting(passage_characters=100, vectors_per_event=20, text_bytes_per_event=1500)
    handler = Handler(blobs, parse_here, cutting, remembered_keys=10)
    text = "".join(f"Satz Nummer {i} über Bienen.{' ' * (i % 3 * 40)} " for i in range(400))
    parts = passages(handler([record(event(text=text))]))
    assert len(parts) > 5
    ordinals = [passage.ordinal for part in parts for passage in part.passages]
    assert ordinals == list(range(parts[0].passage_count))
    assert {part.passage_count for part in parts} == {len(ordinals)}
    for part in parts:
        assert len(part.text.encode()) <= 1500
        assert sum(1 + len(passage.spans) // 2 for passage in part.passages) <= 20
        for passage in part.passages:
            for start, end in zip(passage.spans[::2], passage.spans[1::2], strict=True):
                assert part.text[start - part.text_offset : end - part.text_offset] == text[start:end]


def test_a_large_gap_between_passages_does_not_travel(blobs: Blobs) -> None:
    handler = Handler(blobs, parse_here, Cutting(), remembered_keys=10)
    parts = passages(handler([record(event(text="One." + " \n" * 200_000 + "Two."))]))
    assert [part.text for part in parts] == ["One.", "Two."]


def test_a_file_is_read_from_the_blob_store_and_gives_the_title(handler: Handler, blobs: Blobs) -> None:
    data = files.pdf("Bees dance.")
    hashed = content_hash(title="", content_type="application/pdf", body=data, metadata={}, groups=())
    given = event(blob=blobs.put(KEY, 7, data), content_type="application/pdf", content_hash=hashed)
    (found,) = passages(handler([record(given)]))
    assert (found.text, found.title, found.content_type) == ("Bees dance.", "On bees", "application/pdf")
    assert found.content_hash == hashed


def test_the_content_hash_of_a_text_is_computed_not_believed(handler: Handler) -> None:
    (first,) = passages(handler([record(event(version=1, text="Otters swim.", content_hash=b"x" * 32))]))
    (second,) = passages(handler([record(event(version=2, text="Badgers dig.", content_hash=b"x" * 32))]))
    assert b"x" * 32 != first.content_hash != second.content_hash
    assert not second.unchanged


def test_a_changed_blob_is_rejected(handler: Handler, blobs: Blobs) -> None:
    given = event(blob=blobs.put(KEY, 7, b"other"), content_type="text/plain", content_hash=bytes(32))
    assert reason(handler([record(given)])) == REASON_BLOB_HASH


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"text": ""}, REASON_EMPTY_TEXT),
        ({}, REASON_EMPTY_TEXT),
        ({"text": " \n\u200b"}, REASON_EMPTY_TEXT),
        ({"text": "a" * 200_000}, REASON_PARSE_LIMIT),
        ({"text": "x", "content_type": "image/png"}, REASON_TYPE_UNSUPPORTED),
        ({"text": "x", "content_type": "application/pdf"}, REASON_TYPE_UNSUPPORTED),
        ({"text": "x", "version": -1}, REASON_VERSION_OUT_OF_RANGE),
        ({"text": "x", "version": 2**53}, REASON_VERSION_OUT_OF_RANGE),
        ({"text": "x", "groups": ["g"] * 101}, REASON_SCHEMA_INVALID),
        ({"text": "x", "title": "t" * 2001}, REASON_SCHEMA_INVALID),
        ({"text": "x", "groups": ["g", "g" * 257]}, REASON_SCHEMA_INVALID),
        ({"text": "x", "content_type": "text/plain;" + "x" * 100}, REASON_SCHEMA_INVALID),
        ({"text": "x", "accepted_at_us": -1}, REASON_SCHEMA_INVALID),
        ({"text": "x", "accepted_at_us": 2**53}, REASON_SCHEMA_INVALID),
        ({"text": "x", "operation": 0}, REASON_SCHEMA_INVALID),
        ({"blob": "t/aa/bb"}, REASON_BLOB_MISSING),
        ({"blob": "u/aa/bb"}, REASON_TENANT_MISMATCH),
        ({"blob": "http://x/y"}, REASON_SCHEMA_INVALID),
        ({"blob": "file:///etc/passwd"}, REASON_SCHEMA_INVALID),
        ({"blob": "/etc/passwd"}, REASON_SCHEMA_INVALID),
        ({"blob": "t/../u/aa"}, REASON_SCHEMA_INVALID),
        ({"blob": ""}, REASON_SCHEMA_INVALID),
    ],
)
def test_bad_events_are_rejected_and_their_neighbours_pass(
    handler: Handler, given: dict[str, Any], expected: Reason
) -> None:
    good = event(text="Bees.")
    before, result, after = handler([record(good), record(event(**given)), record(good)])
    assert isinstance(result, Rejected)
    assert result.reason == expected
    assert isinstance(before, Outgoing)
    assert isinstance(after, Outgoing)


def test_bad_envelopes_are_rejected(handler: Handler) -> None:
    good = event(text="Bees.")
    assert reason(handler([record(good, None)])) == REASON_ENVELOPE_UNREADABLE
    assert reason(handler([record(good, Key("u", "s", "a/b"))])) == REASON_TENANT_MISMATCH
    assert reason(handler([Record("documents.v1", 0, 0, KEY.encode(), b"\xff\xff")])) == REASON_ENVELOPE_UNREADABLE


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_metadata_that_is_not_json_is_rejected(handler: Handler, number: float) -> None:
    given = event(text="x")
    given.metadata.fields["a"].number_value = number
    assert reason(handler([record(given)])) == REASON_SCHEMA_INVALID


def test_encrypted_file(handler: Handler, blobs: Blobs) -> None:
    blob = blobs.put(KEY, 7, files.pdf("x", password="secret"))
    assert reason(handler([record(event(blob=blob, content_type="application/pdf"))])) == REASON_ENCRYPTED


def test_too_many_passages(blobs: Blobs) -> None:
    handler = Handler(blobs, parse_here, Cutting(passage_characters=50, passages=3), remembered_keys=1)
    assert reason(handler([record(event(text="Bees dance. " * 50))])) == REASON_TOO_MANY_PASSAGES


def test_a_file_over_the_limit(blobs: Blobs) -> None:
    handler = Handler(blobs, parse_here, Cutting(file_bytes=3), remembered_keys=1)
    given = event(blob=blobs.put(KEY, 7, b"four"), content_type="text/plain")
    assert reason(handler([record(given)])) == REASON_PARSE_LIMIT


def test_an_unreachable_blob_store_is_no_fault_of_the_document(tmp_path: Path) -> None:
    class Down(Blobs):
        def get(self, key: str, max_bytes: int) -> bytes:
            raise BlobsUnavailable("down")

    handler = Handler(Down(f"file:{tmp_path}"), parse_here, Cutting(), remembered_keys=1)
    with pytest.raises(Retry):
        handler([record(event(blob="t/aa/bb"))])


def test_a_parser_that_does_not_start_is_no_fault_of_the_document(blobs: Blobs) -> None:
    def away(kind: Kind, data: bytes) -> Parsed:
        raise ParserUnavailable("away")

    with pytest.raises(Retry):
        Handler(blobs, away, Cutting(), remembered_keys=1)([record(event(text="x", content_type="text/html"))])


class Slow:
    """A parser that takes 50 s for a document, on a clock of its own."""

    def __init__(self, blobs: Blobs) -> None:
        self.now, self.parsed = 0.0, 0
        self.handler = Handler(blobs, self._parse, Cutting(), remembered_keys=1, clock=lambda: self.now)

    def _parse(self, kind: Kind, data: bytes) -> Parsed:
        self.now, self.parsed = self.now + 50, self.parsed + 1
        return Parsed(data.decode(), "", "slow/1")

    def records(self, count: int, partition: int = 0) -> list[Record]:
        events = [event(text=f"Bee {i}.", content_type="text/html", version=i) for i in range(count)]
        return [record(one, partition=partition) for one in events]


def test_a_poll_of_slow_documents_is_put_back_in_time_and_goes_on_where_it_was(blobs: Blobs) -> None:
    slow = Slow(blobs)
    records = slow.records(5)
    with pytest.raises(Retry):
        slow.handler(records)
    assert slow.now < POLL_SECONDS + 50
    assert [one.version for one in passages(slow.handler(records))] == [0, 1, 2, 3, 4]
    assert slow.parsed == 5
    passages(slow.handler(records[:1]))  # delivered once more: nothing is remembered of a poll that was finished
    assert slow.parsed == 6


def test_polls_of_slow_documents_from_several_partitions_in_turn_all_end(blobs: Blobs) -> None:
    slow = Slow(blobs)
    polls = [slow.records(5, partition) for partition in (0, 1)]
    for poll in polls:
        with pytest.raises(Retry):
            slow.handler(poll)
    for poll in polls:
        assert len(passages(slow.handler(poll))) == 5
    assert slow.parsed == 10


def test_what_is_done_of_a_poll_is_not_done_again_for_its_records_alone(blobs: Blobs) -> None:
    slow = Slow(blobs)
    records = slow.records(4)
    with pytest.raises(Retry):
        slow.handler(records)
    for one in records:
        assert len(passages(slow.handler([one]))) == 1
    assert slow.parsed == 4


def guesses(handler: Handler, *given: DocumentEvent) -> list[bool]:
    return [found.unchanged for found in passages(handler([record(one) for one in given]))]


def test_the_same_content_under_a_later_version_is_guessed_unchanged(handler: Handler) -> None:
    one, two, other = (event(text=text, version=v) for text, v in (("Bees.", 1), ("Bees.", 2), ("Wasps.", 3)))
    assert guesses(handler, one, two, other) == [False, True, False]


def test_the_same_event_seen_again_is_no_guess(handler: Handler) -> None:
    one, two = event(text="Bees.", version=1), event(text="Bees.", version=2)
    assert guesses(handler, one, two) == [False, True]
    assert guesses(handler, one, two) == [False, True]


def test_a_delete_ends_the_guess(handler: Handler) -> None:
    deleted = event(operation=OPERATION_DELETE, version=2)
    assert guesses(handler, event(text="Bees.", version=1), deleted, event(text="Bees.", version=3)) == [False] * 3


def test_the_oldest_guesses_are_forgotten(blobs: Blobs) -> None:
    handler = Handler(blobs, parse_here, Cutting(), remembered_keys=1)

    def version(id: str, number: int) -> Record:
        return record(event(text="Bees.", id=id, version=number), Key("t", "s", id))

    found = passages(handler([version("a", 1), version("b", 1), version("a", 2), version("a", 3)]))
    assert [one.unchanged for one in found] == [False, False, False, True]


def test_candidate_spans_follow_the_sentences_and_count_towards_the_size_of_an_event(blobs: Blobs) -> None:
    text = "The old bridge, which nobody had crossed, fell down; the new bridge over the river Isar stands. " * 40
    made = event(text=text, content_type="text/plain")
    plain = passages(Handler(blobs, parse_here, Cutting(), remembered_keys=1)([record(made)]))
    cutting = Cutting(spans="sentences+clauses+phrases:9", vectors_per_event=50)
    rich = passages(Handler(blobs, parse_here, cutting, remembered_keys=1)([record(made)]))

    assert plain[0].segmenter.replace("passages/3", "passages/3+spans/1+clauses+phrases:9") == rich[0].segmenter
    assert sum((1 + len(passage.spans) // 2) for passage in rich[0].passages) <= 50
    assert len(rich) > len(plain) == 1
    for one, other in zip(plain[0].passages, [each for part in rich for each in part.passages], strict=True):
        count = len(one.spans)
        assert (other.start, other.end, list(other.spans[:count])) == (one.start, one.end, list(one.spans))
        assert len(other.spans) == count + 2 * 9


def test_a_delete_takes_the_blobs_of_its_version_and_older_ones(handler: Handler, blobs: Blobs) -> None:
    for version in (1, 2, 3):
        blobs.put(KEY, version, b"Bees.")
    assert len(passages(handler([record(event(version=2, operation=OPERATION_DELETE))]))) == 1
    assert blobs.count(*KEY) == 1


def test_later_stages_are_told_of_a_blob(handler: Handler, blobs: Blobs) -> None:
    given = [event(text="Bees."), event(blob=blobs.put(KEY, 7, b"Bees."))]
    assert [each.blob for each in passages(handler(list(map(record, given))))] == [False, True]


@pytest.mark.promise("I28")
def test_an_event_that_is_read_once_more_after_its_delete_is_no_failure(handler: Handler, blobs: Blobs) -> None:
    """A dead letter would keep the title of what was erased."""
    before = 1  # the store was made, by a clock that was ahead
    upsert = record(event(version=1, title="On bees", blob=blobs.put(KEY, 1, b"Bees.")), logged_ms=before)
    delete = record(event(version=2, operation=OPERATION_DELETE))
    assert len(passages(handler([upsert, delete]))) == 2
    assert [each.version for each in passages(handler([upsert, delete]))] == [2]
    lost = blobs.put(KEY, 3, b"Bees.")[:-1]
    assert reason(handler([record(event(version=3, blob=lost))])) == REASON_BLOB_MISSING
    with pytest.raises(Retry, match="younger"):
        handler([record(event(version=3, blob=lost), logged_ms=before)])


def test_a_missing_blob_is_not_waited_for_because_its_sender_says_that_it_is_old(handler: Handler) -> None:
    """A database's time of change, for example: it would stop the partition for ever."""
    assert reason(handler([record(event(blob="t/aa/bb", accepted_at_us=1), logged_ms=2**42)])) == REASON_BLOB_MISSING


def test_the_moment_of_expiry_is_handed_on_and_must_be_one(handler: Handler) -> None:
    assert passages(handler([record(event(text="Bees.", expires_at_us=5))]))[0].expires_at_us == 5
    assert reason(handler([record(event(text="Bees.", expires_at_us=-1))])) == REASON_SCHEMA_INVALID
