from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import decode
from spanstream.events.ids import Key
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_EMBED_INVALID,
    REASON_ENVELOPE_UNREADABLE,
    REASON_INDEX_REJECTED,
    REASON_SCHEMA_INVALID,
    REASON_VERSION_CONFLICT,
    RESOLUTION_DISCARDED,
    RESOLUTION_REPLAYED,
    RESOLUTION_SUPERSEDED,
    FailureEvent,
    Resolution,
)
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.indexer.handler import AGAIN_HOURS, AGAIN_SECONDS, Indexer
from spanstream.indexer.vectors import document_vector
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.points import Head, Passage, State
from spanstream.store.queries import Dense, Query, Scope
from spanstream.store.store import Store
from spanstream.store.switching import Move, Switching
from tests.unit.indexer.documents import ENCODER, GENERATION, Document, deleted, failed, record
from tests.unit.indexer.stores import Faulty, Killed, open_edge

KEY = Key("acme", "wiki", "a/1 %")
NOW = 1_700_000_000_000_000
SCOPE = Scope("acme")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_edge(tmp_path)
    yield store
    store.close()


@pytest.fixture
def index(store: Store) -> Indexer:
    return Indexer(store, GENERATION, lambda: NOW)


def document(version: int, *passages: list[str], key: Key = KEY, **more: Any) -> Document:
    return Document(key, version, passages or (["One fish.", "Two fish."], ["Red fish."]), **more)


def found(store: Store, scope: Scope = SCOPE) -> set[tuple[Key, int, int]]:
    """What a search sees: (key, version, ordinal) of passages whose live head names them."""
    query = Query(Dense(np.eye(64, dtype=np.float32)[0]), scope, 1000)
    hits = store.search([query])[0]
    heads = store.heads(list({hit.passage.key for hit in hits}))
    return {
        (hit.passage.key, hit.passage.version, hit.passage.ordinal)
        for hit in hits
        if (head := heads.get(hit.passage.key))
        and head.state is State.LIVE
        and (head.body_version, head.content_hash) == (hit.passage.version, hit.passage.content_hash)
    }


def head(store: Store, key: Key = KEY) -> Head:
    return store.heads([key])[key]


def test_document_becomes_visible_with_all_that_search_shows(store: Store, index: Indexer) -> None:
    metadata = {"year": 2001, "ratio": 0.5, "tags": ["x", 3], "author": {"name": "Ada"}}
    shown = document(7, title="Fish", metadata=metadata, groups=("staff",), accepted_at_us=NOW - 1_000_000)
    assert index(shown.records()) == []
    assert found(store) == {(KEY, 7, 0), (KEY, 7, 1)}
    stored = head(store)
    assert (stored.title, stored.metadata, stored.groups) == ("Fish", metadata, ("staff",))
    assert (stored.passage_count, stored.indexed_at_us) == (2, NOW)
    texts = [passage.text for passage in store.passages(stored)]
    assert texts == ["One fish. Two fish.", "Red fish."]


def test_document_in_parts_shows_the_old_version_until_the_last_part(store: Store, index: Indexer) -> None:
    index(document(1).records())
    long = document(2, ["a b."], ["c d."], ["e f."])
    first, second, third = long.records(3)
    index([third])
    index([first])
    assert found(store) == {(KEY, 1, 0), (KEY, 1, 1)}
    index([second])
    assert found(store) == {(KEY, 2, 0), (KEY, 2, 1), (KEY, 2, 2)}


def test_vector_of_a_document_in_parts_is_the_mean_of_its_passages_by_tokens(store: Store, index: Indexer) -> None:
    long = document(2, ["a b c d."], ["e f."])
    for part in long.records(2):
        index([part])
    whole = [p for p in store.passages(head(store), vectors=True) if p.dense is not None]
    mean = sum(p.tokens * p.dense for p in whole if p.dense is not None)
    vector = document_vector(EmbeddingEvent(), whole)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_several_versions_of_a_document_in_one_poll_leave_the_newest(store: Store, index: Indexer) -> None:
    other = Key("acme", "wiki", "b")
    records = [
        *document(1).records(),
        *document(3, ["new"]).records(),
        *document(2, ["old", "er"]).records(),
        *document(1, key=other).records(),
        deleted(other, 1),
    ]
    assert index(records) == []
    assert found(store) == {(KEY, 3, 0)}
    assert head(store, other).state is State.DELETED


def test_delete_hides_and_stays_against_older_and_equal_versions(store: Store, index: Indexer) -> None:
    index(document(5).records())
    index([deleted(KEY, 6)])
    index(document(6, ["late"]).records())
    index(document(2).records())
    assert found(store) == set()
    index(document(7, ["again"]).records())
    assert found(store) == {(KEY, 7, 0)}


@pytest.mark.promise("I4")
def test_delete_of_an_unknown_document_leaves_a_tombstone(store: Store, index: Indexer) -> None:
    index([deleted(KEY, 6)])
    index(document(5).records())
    assert found(store) == set()
    assert (head(store).state, head(store).version) == (State.DELETED, 6)


def test_unchanged_document_only_raises_the_version(store: Store, index: Indexer) -> None:
    index(document(1).records())
    assert index(document(4).records(unchanged=True)) == []
    assert (head(store).version, head(store).body_version) == (4, 1)
    assert found(store) == {(KEY, 1, 0), (KEY, 1, 1)}


@pytest.mark.parametrize("before", [[], [document(1, ["other"])]])
def test_wrong_guess_of_unchanged_goes_back_to_be_embedded(
    store: Store, index: Indexer, before: list[Document]
) -> None:
    for each in before:
        index(each.records())
    guess = document(4)
    (again,) = index(guess.records(unchanged=True))
    assert isinstance(again, Outgoing)
    event = decode(PassageEvent, again.key, again.value, again.headers)
    assert (again.topic, event.unchanged, event.version, len(event.passages)) == ("passages.v1", False, 4, 2)
    index(guess.records())
    assert found(store) == {(KEY, 4, 0), (KEY, 4, 1)}


def foreign(since_us: int) -> Record:
    return broken(release="other", embedded_again_us=since_us)


def test_vectors_of_another_release_rest_and_go_back_to_be_embedded(store: Store, index: Indexer) -> None:
    good = document(1, key=Key("acme", "wiki", "good"))
    for since_us in (0, NOW - 1):
        poll = [foreign(since_us), *good.records()]
        with pytest.raises(Retry):
            index(poll)
        (again,) = index(poll)
        assert isinstance(again, Outgoing)
        event = decode(PassageEvent, again.key, again.value, again.headers)
        assert (again.topic, event.embedded_again_us, len(event.passages)) == ("passages.v1", since_us or NOW, 2)
        assert {key.id for key, _, _ in found(store)} == {"good"}


def test_vectors_that_come_from_another_release_for_hours_are_rejected_and_can_be_sent_once_more(
    store: Store, index: Indexer
) -> None:
    late = foreign(NOW - round(AGAIN_HOURS * 3600e6))
    with pytest.raises(Retry):
        index([late])
    (rejected,) = index([late])
    assert isinstance(rejected, Rejected)
    assert rejected.reason == REASON_EMBED_INVALID
    kept = decode(EmbeddingEvent, rejected.record.key, rejected.record.value, rejected.record.headers)
    assert kept.origin.embedded_again_us == 0


def test_while_the_index_is_being_moved_to_that_release_they_go_back_for_as_long_as_it_takes(
    store: Store, index: Indexer
) -> None:
    other = Generation("other", GENERATION.dimension, GENERATION.segmenter)
    third = Generation("third", GENERATION.dimension, GENERATION.segmenter)
    switching = Switching(store)
    switching.begin()
    for new, wanted in ((third, Rejected), (other, Outgoing)):
        switching.write({}, Move(GENERATION.name, new.name))
        late = foreign(NOW - round(24 * AGAIN_HOURS * 3600e6))
        with pytest.raises(Retry):
            index([late])
        (result,) = index([late])
        assert isinstance(result, wanted)


def test_a_poll_ends_that_holds_vectors_of_another_release_and_a_record_that_crashes(
    store: Store, index: Indexer
) -> None:
    """Put back, it comes again whole; failing, it is handed over one by one, good ones between those of the release."""
    bad = document(1, key=Key("acme", "wiki", "bad")).records()
    poll = [foreign(0), *document(1, key=Key("acme", "wiki", "good")).records(), *bad, foreign(0)]

    def handle(records: Sequence[Record]) -> list[Outgoing | Rejected]:
        results = index(records)
        if any(record.value == bad[0].value for record in records):
            raise ValueError("poison")
        return results

    now = count(step=AGAIN_SECONDS)  # at each look at it a rest has passed
    log = MemoryLog(lambda: 0.0)
    log.ensure_topics([EMBEDDINGS, FAILURES, PASSAGES])
    for each in poll:
        log.append(EMBEDDINGS.name, each.key, each.value)
    consumer = log.consumer("indexer", [EMBEDDINGS.name])
    loop = Loop("indexer", consumer, log.producer(), handle, clock=lambda: next(now), poll_wait=0.0)
    for _ in range(5):
        loop.step()
    assert sum(log.committed("indexer", EMBEDDINGS.name).values()) == len(poll)
    assert sum(map(len, log.topics[FAILURES.name])) == 1
    assert sum(map(len, log.topics[PASSAGES.name])) == 2
    assert {key.id for key, _, _ in found(store)} == {"good", "bad"}


def test_vectors_of_another_release_do_not_bother_who_is_past_them(store: Store, index: Indexer) -> None:
    index(document(1000).records())
    assert index([foreign(0)]) == []


def test_guess_right_behind_its_base_in_one_poll_holds(store: Store, index: Indexer) -> None:
    assert index([*document(1).records(), *document(2).records(unchanged=True)]) == []
    assert (head(store).version, head(store).body_version) == (2, 1)


def test_guess_overtaken_by_another_owner_goes_back_to_be_embedded(store: Store, index: Indexer) -> None:
    """Between this owner's read and its bump another one flips the head to other content."""
    index(document(1).records())

    class Overtaken(Faulty):
        def bump_heads(self, bumps: Sequence[tuple[Head, int]]) -> list[Head | None]:
            index(document(2, ["other"]).records())
            return store.bump_heads(bumps)

    (again,) = Indexer(Overtaken(store), GENERATION, lambda: NOW)(document(3).records(unchanged=True))
    assert isinstance(again, Outgoing)
    assert head(store).version == 2


@pytest.mark.promise("I6")
def test_passages_that_nothing_names_any_more_are_deleted_even_when_the_kill_was_before(
    store: Store, index: Indexer
) -> None:
    index(document(1).records())
    with pytest.raises(Killed):
        Indexer(Faulty(store, at=3), GENERATION, lambda: NOW)(document(2, ["new"]).records())
    assert head(store).version == 2
    index(document(2, ["new"]).records())
    assert {
        hit.passage.version for hit in store.search([Query(Dense(np.eye(64, dtype=np.float32)[0]), SCOPE, 9)])[0]
    } == {2}


def test_same_version_with_other_content_larger_hash_wins_and_the_other_is_reported(
    store: Store, index: Indexer
) -> None:
    small, large = sorted([document(1, ["x"]), document(1, ["y", "z"])], key=lambda each: each.content_hash)
    index(large.records())
    (conflict,) = index(small.records())
    assert isinstance(conflict, Rejected)
    assert conflict.reason == REASON_VERSION_CONFLICT
    assert head(store).content_hash == large.content_hash


def test_same_version_with_other_content_is_reported_too_when_the_newcomer_wins(store: Store, index: Indexer) -> None:
    small, large = sorted([document(1, ["x"], ["w"]), document(1, ["y", "z"], ["w"])], key=lambda one: one.content_hash)
    index(small.records())
    first, last = large.records(2)
    assert index([first]) == []  # not complete: nothing has been replaced yet
    (conflict,) = index([last])
    assert isinstance(conflict, Rejected)
    assert (conflict.record, conflict.reason) == (last, REASON_VERSION_CONFLICT)
    assert head(store).content_hash == large.content_hash
    assert index([last]) == []  # seen again, it is what the index holds


def test_failure_is_noted_while_it_is_newer_than_what_is_shown(store: Store, index: Indexer) -> None:
    index([failed(KEY, 3)])
    assert head(store).state is State.ABSENT
    failure = head(store).failure
    assert failure is not None
    assert (failure.version, failure.stage, failure.reason) == (3, "ingestor", "PARSE_FAILED")
    index(document(3).records())
    index([failed(KEY, 2)])
    assert head(store).failure is None
    assert head(store).state is State.LIVE


def resolutions(results: Sequence[Any]) -> list[tuple[Key, int]]:
    """The (document, version) whose dead letters were said to be outrun."""
    told = [(Key.decode(each.key), FailureEvent.FromString(each.value)) for each in results]
    assert {(each.topic, event.resolution) for each, (_, event) in zip(results, told, strict=True)} <= {
        ("failures.v1", RESOLUTION_SUPERSEDED)
    }
    return [(key, event.version) for key, event in told]


def replay(key: Key, at_us: int) -> Record:
    event = FailureEvent(resolution=RESOLUTION_REPLAYED, failed_at_us=at_us)
    return record(event, key=key.encode())


def test_dead_letters_that_a_flip_a_delete_or_a_bump_outruns_are_told_once(store: Store, index: Indexer) -> None:
    other, third = Key("acme", "wiki", "b"), Key("acme", "wiki", "c")
    assert resolutions(index(document(1, key=third).records())) == []
    index([failed(KEY, 3), failed(other, 4), failed(third, 5)])
    assert resolutions(index(document(2).records())) == []  # older than what failed
    assert resolutions(index([*document(3).records(), deleted(other, 9)])) == [(KEY, 3), (other, 4)]
    assert resolutions(index(document(6, key=third).records(unchanged=True))) == [(third, 5)]
    assert resolutions(index([*document(4).records(), deleted(other, 10)])) == []


@pytest.mark.promise("I28")
@pytest.mark.parametrize("blob", [True, False])
def test_a_blob_that_comes_after_its_tombstone_is_erased_by_the_same_delete_once_more(
    index: Indexer, blob: bool
) -> None:
    index([deleted(KEY, 9)])
    late = [*document(8, blob=blob).records(), failed(KEY, 7, "acme/wiki/aa/7-bb" if blob else "")]
    sent = [result for result in index(late) if isinstance(result, Outgoing) and result.topic == DOCUMENTS.name]
    events = [decode(DocumentEvent, each.key, each.value, each.headers) for each in sent]
    assert [(each.operation, each.version) for each in events] == [(OPERATION_DELETE, 9)] * (2 if blob else 0)
    assert index([deleted(KEY, 9)]) == []  # which is how it comes back


def test_a_dead_letter_that_comes_late_is_outrun_at_once(store: Store, index: Indexer) -> None:
    index(document(3).records())
    assert resolutions(index([failed(KEY, 2)])) == [(KEY, 2)]
    assert resolutions(index([failed(KEY, 3)])) == []  # the same version: its content was another, say
    assert resolutions(index([failed(KEY, 0)])) == []  # a version that could not be read may be any
    assert resolutions(index([failed(KEY, 4)])) == []


def test_a_replayed_document_is_pending_until_it_is_settled(store: Store, index: Indexer) -> None:
    index([failed(KEY, 3)])
    index([replay(KEY, 1)])
    assert KEY not in store.heads([KEY])
    index(document(2).records())
    index([failed(KEY, 3), replay(KEY, 1)])  # in one poll
    assert (head(store).version, head(store).failure) == (2, None)
    index([failed(KEY, 3)])
    assert index([replay(KEY, 2)]) == []  # of another failure: this one came after that replay
    assert head(store).failure is not None
    assert index([replay(Key("acme", "wiki", "unknown"), 1), replay(KEY, 1)]) == []
    assert head(store).failure is None


@pytest.mark.parametrize("resolution", [RESOLUTION_DISCARDED, RESOLUTION_SUPERSEDED, 99])
def test_a_discarded_failure_stays_noted(store: Store, index: Indexer, resolution: Resolution) -> None:
    index([failed(KEY, 3)])
    marker = FailureEvent(resolution=resolution, failed_at_us=1, version=3, topic="documents.v1")
    assert index([record(marker, key=KEY.encode()), record(marker, key=b"x")]) == []
    assert head(store).failure is not None


def test_failure_without_a_readable_identity_changes_nothing(store: Store, index: Indexer) -> None:
    assert index([record(FailureEvent(stage="ingestor"), key=b"x"), Record("failures.v1", 0, 0, b"x", b"\xff")]) == []


def broken(**changes: Any) -> Record:
    """A good record, damaged."""
    event = EmbeddingEvent.FromString(document(1).records()[0].value or b"")
    for name, value in changes.items():
        if name == "end":
            event.origin.passages[0].end = value
        elif name == "ordinal":
            event.origin.passages[0].ordinal = value
        elif name == "span":
            event.origin.passages[0].spans[0] = value
        elif name == "passage_count":
            event.origin.passage_count = value
        elif name == "segmenter":
            event.origin.segmenter = value
        elif name == "embedded_again_us":
            event.origin.embedded_again_us = value
        elif name == "metadata":
            event.origin.metadata.fields["x"].number_value = value
        elif name == "tokens":
            event.passage_tokens[:] = value
        else:
            setattr(event, name, value)
    return record(event)


NAN = np.full(2 * 64, np.nan, "<f2").tobytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (broken(dimension=32), REASON_EMBED_INVALID),
        (broken(segmenter=""), REASON_EMBED_INVALID),
        (broken(segmenter=f"{segmenter('sentences+clauses:8')} sentencex/1"), REASON_EMBED_INVALID),
        (broken(passage_vectors=b"1234"), REASON_EMBED_INVALID),
        (broken(passage_vectors=NAN), REASON_EMBED_INVALID),
        (broken(passage_vectors=bytes(2 * 64 * 2)), REASON_EMBED_INVALID),
        (broken(span_vectors=b""), REASON_EMBED_INVALID),
        (broken(document_vector=b"1"), REASON_EMBED_INVALID),
        (broken(vector_type=0), REASON_EMBED_INVALID),
        (broken(span_vectors=NAN), REASON_EMBED_INVALID),
        (broken(tokens=[1]), REASON_EMBED_INVALID),
        (broken(ordinal=1), REASON_SCHEMA_INVALID),  # as the other passage's
        (broken(end=1000), REASON_SCHEMA_INVALID),
        (broken(span=4_000_000_000), REASON_SCHEMA_INVALID),
        (broken(passage_count=0), REASON_SCHEMA_INVALID),
        (broken(metadata=float("nan")), REASON_SCHEMA_INVALID),
        (broken(metadata=float("-inf")), REASON_SCHEMA_INVALID),
        (Record("embeddings.v1", 0, 0, KEY.encode(), b"\xff\xff"), REASON_ENVELOPE_UNREADABLE),
        (Record("embeddings.v1", 0, 0, KEY.encode(), None), REASON_ENVELOPE_UNREADABLE),
    ],
)
def test_bad_record_is_rejected_and_its_neighbours_pass(store: Store, index: Indexer, bad: Record, reason: int) -> None:
    other = Key("acme", "wiki", "b")
    (rejected,) = index([bad, *document(1, key=other).records()])
    assert isinstance(rejected, Rejected)
    assert (rejected.record, rejected.reason) == (bad, reason)
    assert found(store) == {(other, 1, 0), (other, 1, 1)}


def test_a_count_of_passages_that_is_only_stated_costs_no_memory(store: Store, index: Indexer) -> None:
    for stated in (2**20, 2**32 - 1):
        tracemalloc.start()
        assert index([broken(passage_count=stated)]) == []
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**23  # bytes
    assert found(store) == set()


def test_store_that_does_not_answer_means_try_again(store: Store) -> None:
    index = Indexer(Faulty(store, at=1, error=StoreUnavailable("down")), GENERATION, lambda: NOW)
    with pytest.raises(Retry):
        index(document(1).records())


def test_record_that_the_store_refuses_is_found_among_its_neighbours(store: Store) -> None:
    refused = Key("acme", "wiki", "refused")
    index = Indexer(Faulty(store, refuse=refused), GENERATION, lambda: NOW)
    records = [
        *document(1).records(),
        *document(1, key=refused).records(),
        *document(1, key=KEY._replace(id="c")).records(),
    ]
    (rejected,) = index(records)
    assert isinstance(rejected, Rejected)
    assert (rejected.record, rejected.reason) == (records[1], REASON_INDEX_REJECTED)
    assert {key.id for key, _, _ in found(store)} == {KEY.id, "c"}


def test_refused_delete_waits_and_is_never_rejected(store: Store) -> None:
    index = Indexer(Faulty(store, refuse=KEY), GENERATION, lambda: NOW)
    with pytest.raises(Retry):
        index([deleted(KEY, 1)])


def test_a_part_that_is_written_after_its_document_was_deleted_goes_again(store: Store, index: Indexer) -> None:
    """By an owner of the partition that had been away, while the next one wrote the rest and deleted it all."""
    part, rest = document(1, ["a."], ["b."], ["c."]).records(2)
    upsert = store.upsert_passages

    def late(passages: Sequence[Passage]) -> None:
        store.upsert_passages = upsert  # type: ignore[method-assign]
        index([part, rest, deleted(KEY, 2)])
        upsert(passages)

    store.upsert_passages = late  # type: ignore[method-assign]
    Indexer(store, GENERATION, lambda: NOW)([part])
    assert store.count_passages([(KEY, 1, document(1, ["a."], ["b."], ["c."]).content_hash)]) == [0]


@pytest.mark.parametrize("parts", [1, 2])
def test_passages_that_a_power_cut_took_from_under_their_head_are_written_again(
    store: Store, index: Indexer, parts: int
) -> None:
    """Heads and passages have a log each: before a flush one may reach the disk without the other."""
    written = document(2, ["a."], ["b."], ["c."]).records(parts)
    index(written)
    index(document(3, ["a."], ["b."], ["c."]).records(unchanged=True))
    store.delete_stale([replace(head(store), version=9, state=State.DELETED)])
    assert found(store) == set()
    for again in written:  # not committed before the flush, so read again
        index([again])
    assert found(store) == {(KEY, 2, 0), (KEY, 2, 1), (KEY, 2, 2)}
    assert head(store).version == 3


@pytest.mark.promise("I6", "I28")
def test_passages_that_are_written_again_behind_a_delete_go(store: Store, index: Indexer) -> None:
    """Whoever writes them was frozen, and its partition's new owner has applied the delete meanwhile."""
    written = document(2, ["a."]).records()
    index(written)
    store.delete_stale([replace(head(store), version=9, state=State.DELETED)])

    class Frozen(Faulty):
        def upsert_passages(self, passages: Sequence[Passage]) -> None:
            index([deleted(KEY, 3)])
            store.upsert_passages(passages)

    Indexer(Frozen(store), GENERATION, lambda: NOW)(written)
    assert head(store).state is State.DELETED
    assert store.count_passages([(KEY, 2, document(2, ["a."]).content_hash)]) == [0]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.promise("I5", "I9", "I10")
def test_kill_at_any_call_of_the_store_then_redelivery_ends_in_the_same_state(store: Store, lost: bool) -> None:
    """`lost`: the call itself had no effect; else it was applied and only its answer was lost."""
    ends = set()
    killed_at, killed = 0, True
    while killed:
        old, gone, new, bad, half = (
            Key(f"tenant{killed_at}", "wiki", id) for id in ("old", "gone", "new", "bad", "half")
        )
        scope = Scope(old.tenant)
        three = ["a."], ["b."], ["c."]
        here, coming = document(1, key=half).records(2)
        poll = [
            *document(2, *three, key=old).records(2),
            deleted(gone, 2),
            *document(3, *three, key=old).records(unchanged=True),
            *document(1, key=new).records(),
            coming,
            failed(bad, 1),
        ]
        before = [*document(1, key=old).records(), *document(1, key=gone).records(), here]
        Indexer(store, GENERATION, lambda: NOW)(before)
        try:
            Indexer(Faulty(store, at=killed_at, lost=lost), GENERATION, lambda: NOW)(poll)
            killed = False
        except Killed:
            shown = {key.id: set[tuple[int, int]]() for key, _, _ in found(store, scope)}
            for key, version, ordinal in found(store, scope):
                shown[key.id].add((version, ordinal))
            assert shown["old"] in ({(1, 0), (1, 1)}, {(2, 0), (2, 1), (2, 2)})
        Indexer(store, GENERATION, lambda: NOW)(poll)
        heads = store.heads([old, gone, new, bad, half]).values()
        ends.add(
            (
                frozenset((key.id, version, ordinal) for key, version, ordinal in found(store, scope)),
                frozenset((head.key.id, head.version, head.state, head.failure) for head in heads),
            )
        )
        killed_at += 1
    assert killed_at > 8
    assert len(ends) == 1


def test_encoder_of_the_tests_is_the_generation_of_the_tests() -> None:
    assert ENCODER.info().release == GENERATION.release


def test_a_reason_that_a_newer_release_gave_is_noted_by_its_number(store: Store, index: Indexer) -> None:
    event = FailureEvent(tenant=KEY.tenant, source=KEY.source, id=KEY.id, version=3, stage="later", reason=999)  # type: ignore[arg-type]
    assert index([record(event)]) == []
    failure = head(store).failure
    assert failure is not None
    assert (failure.version, failure.reason) == (3, "999")
