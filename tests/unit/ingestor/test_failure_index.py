"""Which dead letters are open: a fold over the topic, in bounded memory."""

from __future__ import annotations

import tracemalloc
from bisect import bisect_left
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.eventlog import sizes
from spanstream.eventlog.dead_letters import dead_letter
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events.codec import decode_failure, headers, reason_name
from spanstream.events.ids import Key
from spanstream.events.topics import FAILURES
from spanstream.events.v1 import failure_pb2
from spanstream.events.v1.failure_pb2 import (
    REASON_EMPTY_TEXT,
    REASON_ENVELOPE_UNREADABLE,
    REASON_PARSE_FAILED,
    REASON_TENANT_MISMATCH,
    RESOLUTION_DISCARDED,
    RESOLUTION_REPLAYED,
    FailureEvent,
    Resolution,
)
from spanstream.ingestor.failures import reasons
from spanstream.ingestor.failures.again import again
from spanstream.ingestor.failures.groups import grouped
from spanstream.ingestor.failures.index import FailureIndex
from spanstream.ingestor.failures.letter import Letter, read
from tests.unit.ingestor.failing import failed, letter, superseded

A, B = Key("acme", "wiki", "a"), Key("acme", "wiki", "b")
MIB = 2**20


def resolved(key: Key, offset: int, kind: Resolution = RESOLUTION_DISCARDED) -> Outgoing:
    event = FailureEvent(topic="documents.v1", partition=1, offset=offset, resolution=kind)
    return Outgoing(FAILURES.name, key.encode(), event.SerializeToString(), headers(event))


def records(*messages: Outgoing) -> list[Record]:
    return [Record(FAILURES.name, 0, i, each.key, each.value, each.headers) for i, each in enumerate(messages)]


def opened(*messages: Outgoing, tenant: str = "acme") -> list[int]:
    """Offsets of the records whose dead letters are open after these."""
    index = FailureIndex(MIB)
    index.apply(records(*messages))
    return sorted(each.origin.offset for each in index.open(tenant))


@pytest.mark.parametrize("kind", [RESOLUTION_DISCARDED, RESOLUTION_REPLAYED])
def test_a_replay_or_discard_closes_the_dead_letter_that_it_names(kind: Resolution) -> None:
    assert opened(failed(A, offset=1), failed(A, offset=2), resolved(A, 1, kind)) == [2]
    assert opened(failed(A, offset=1), resolved(B, 1, kind)) == [1]  # of another document


def test_a_newer_version_closes_all_that_came_before_up_to_it() -> None:
    dead = [failed(A, version, offset=version) for version in (1, 2, 3)]
    assert opened(*dead, failed(B, 1, offset=9), superseded(A, 2)) == [3, 9]
    assert opened(superseded(A, 2), *dead) == [1, 2, 3]


def test_a_version_that_could_not_be_read_is_never_outrun() -> None:
    unreadable = failed(A, offset=1, value=b"\xff", reason=REASON_ENVELOPE_UNREADABLE)
    assert opened(unreadable, superseded(A, 9)) == [1]


def test_a_dead_letter_that_was_written_twice_is_one() -> None:
    assert opened(failed(A, offset=1), failed(A, offset=1)) == [1]
    assert opened(failed(A, offset=1), failed(A, offset=1), resolved(A, 1)) == []


def test_a_record_that_failed_again_is_another_dead_letter() -> None:
    assert opened(failed(A, offset=1), resolved(A, 1, RESOLUTION_REPLAYED), failed(A, offset=8)) == [8]


def test_a_resolution_that_this_release_does_not_know_closes_nothing() -> None:
    assert opened(failed(A, offset=1), resolved(A, 1, 99)) == [1]  # type: ignore[arg-type]


def test_what_does_not_say_whose_it_is_is_nobodys() -> None:
    no_key = Record("documents.v1", 1, 5, None, b"v")
    other = Record("documents.v1", 1, 6, B.encode(), failed(A).value)
    anonymous = dead_letter(Rejected(no_key, REASON_ENVELOPE_UNREADABLE, "x"), stage="ingestor", failed_at_us=1)
    mismatch = dead_letter(Rejected(other, REASON_TENANT_MISMATCH, "x"), stage="ingestor", failed_at_us=1)
    forged = replace(failed(A, offset=7), key=Key("other", "wiki", "a").encode())
    junk = Outgoing(FAILURES.name, A.encode(), b"\xff\xff")
    assert anonymous is not None
    assert mismatch is not None
    messages = (anonymous, forged, junk)
    for tenant in ("acme", "other", ""):
        assert opened(*messages, tenant=tenant) == []


@given(st.lists(st.sampled_from(range(12)), max_size=40))
def test_reading_again_from_any_earlier_place_ends_the_same(choices: list[int]) -> None:
    made = [failed(key, n + 1, offset=n + 3 * m) for m, key in enumerate((A, B)) for n in range(3)]
    made += [
        resolved(A, 0),
        resolved(B, 4),
        superseded(A, 2),
        superseded(B, 1),
        failed(A, 2, offset=77),
        resolved(A, 9),
    ]
    messages = records(*(made[choice] for choice in choices))
    once, again_ = FailureIndex(MIB), FailureIndex(MIB)
    once.apply(messages)
    for start in range(0, len(messages) + 1, 7):
        again_ = FailureIndex(MIB)
        again_.apply(messages[:start])
        again_.apply(messages)
    assert {each.origin for each in once.open("acme")} == {each.origin for each in again_.open("acme")}
    assert once.total_bytes == again_.total_bytes == sum(each.cost for each in once.open("acme"))


def test_memory_is_bounded_and_the_tenant_with_the_most_bears_it() -> None:
    room = 300 * letter(failed(A)).cost
    index = FailureIndex(room)
    index.apply(records(*(failed(Key("quiet", "wiki", f"{n}"), offset=n) for n in range(20))))
    index.apply(records(*(failed(Key("noisy", "wiki", f"{n}"), offset=n) for n in range(3_000))))
    assert index.total_bytes <= room
    assert len(index.open("quiet")) == 20
    assert not index.left_out("quiet")
    held = index.open("noisy")
    assert [each.origin.offset for each in held] == list(range(len(held)))
    assert index.left_out("noisy")
    assert not index.may_hold_more
    for each in held:
        index.remove(each)
    assert index.may_hold_more
    assert index.go_back() == {0: len(held)}  # `records` puts each tenant's at offsets from 0 on
    assert not index.left_out("noisy")


def test_the_memory_that_is_counted_is_at_least_what_is_taken() -> None:
    long = tuple(f"group {n} {'x' * 80}" for n in range(5))
    kinds = {"small": (), "large": long}
    for name, groups in kinds.items():
        index = FailureIndex(64 * MIB)
        messages = [
            failed(Key("acme", "wiki", f"{name}/{n}/{'i' * len(groups) * 80}"), offset=n, groups=groups)
            for n in range(500)
        ]
        made = records(*messages)
        tracemalloc.start()
        index.apply(made)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 0.2 * index.total_bytes <= taken <= index.total_bytes


def test_a_caller_with_groups_knows_of_what_they_may_see() -> None:
    open_, staff = letter(failed(A)), letter(failed(A, groups=("staff", "board")))
    unreadable = letter(failed(A, value=b"\xff"))
    assert [each.admits(None) for each in (open_, staff, unreadable)] == [True, True, True]
    assert [each.admits(("staff",)) for each in (open_, staff, unreadable)] == [True, True, False]
    assert [open_.admits(None, sources) for sources in (None, (open_.key.source,), ("other",))] == [True, True, False]
    assert [each.admits(()) for each in (open_, staff, unreadable)] == [True, False, False]


def test_groups_are_of_one_cause_the_last_to_fail_first() -> None:
    letters = [letter(failed(A, offset=n, at_us=10 + n, detail=f"page {n}")) for n in range(5)]
    letters += [letter(failed(B, offset=7, at_us=9, reason=REASON_EMPTY_TEXT, value=b"\xff"))]
    newest, other = grouped(letters)
    assert (newest.count, newest.documents, newest.replayable) == (5, 1, 5)
    assert (newest.first_at_us, newest.last_at_us) == (10, 14)
    assert [each.detail for each in newest.latest] == ["page 4", "page 3", "page 2"]
    assert (other.count, other.latest[0].key) == (1, B)
    assert grouped([]) == []


# --- The record, to be sent again --------------------------------------------------------------------------------------


def event(message: Outgoing) -> FailureEvent:
    return decode_failure(message.value)


def test_a_replay_is_the_record_byte_for_byte_and_says_that_it_is_one() -> None:
    sent = again(event(failed(A)))
    assert sent is not None
    assert (sent.topic, sent.key) == ("documents.v1", A.encode())
    assert sent.value == event(failed(A)).value
    names = [name for name, _ in sent.headers]
    assert names == ["message", "schema", "traceparent", "replay"]
    assert dict(sent.headers)["replay"] == b"1"


@pytest.mark.parametrize(("before", "count"), [(b"1", 1), (b"41", 41), (b"x", 0), (b"", 0), (b"9" * 30, 0)])
def test_replays_are_counted_over_failures(before: bytes, count: int) -> None:
    dead = failed(A, more=(("replay", before),))
    assert letter(dead).replays == count
    sent = again(event(dead))
    assert sent is not None
    assert [value for name, value in sent.headers if name == "replay"] == [str(count + 1).encode()]


def test_a_record_at_the_limit_of_its_topic_goes_without_the_header() -> None:
    room = sizes.limit("documents.v1") - 500
    sent = again(event(failed(A, value=bytes(room))))
    assert sent is not None
    assert "replay" in dict(sent.headers)
    refused = bisect_left(range(500), True, key=lambda more: again(event(failed(A, value=bytes(room + more)))) is None)
    whole = again(event(failed(A, value=bytes(room + refused - 1))))
    assert whole is not None
    assert "replay" not in dict(whole.headers)
    sizes.check([whole])


def without_bytes() -> Outgoing:
    """Of a record that has no value."""
    made = event(failed(A))
    made.ClearField("value")
    return replace(failed(A), value=made.SerializeToString())


@pytest.mark.parametrize(
    "dead",
    [without_bytes(), failed(A, value=bytes(1_200_000)), failed(A, value=bytes(3_000_000)), failed(A, topic="x.v1")],
    ids=["no value", "larger than its topic", "bytes left out", "a topic that nobody reads"],
)
def test_what_cannot_be_sent_again_says_so(dead: Outgoing) -> None:
    assert again(event(dead)) is None
    assert not letter(dead).replayable


def test_every_reason_has_words_of_its_own() -> None:
    told = [reasons.words(value) for value in failure_pb2.Reason.values()]
    assert len(set(told)) == len(told)
    assert all(text.endswith(".") and text != reasons.UNKNOWN for text in told)
    assert (reasons.words(999), reason_name(999)) == (reasons.UNKNOWN, "999")
    assert reason_name(REASON_PARSE_FAILED) == "PARSE_FAILED"


def test_a_fingerprint_that_is_none_still_makes_a_group() -> None:
    made = event(failed(A))
    made.fingerprint = "not/one"
    found = read(Record(FAILURES.name, 0, 0, A.encode(), made.SerializeToString()))
    assert isinstance(found, Letter)
    assert found.fingerprint == "0" * 16
