"""Standing queries are told of every document version once, by one id, whatever ends the process in between."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Outgoing, Record
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import Key, match_id
from spanstream.events.topics import ALL, EMBEDDINGS, MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.indexer.handler import Indexer
from spanstream.indexer.standing import Standing
from spanstream.store.errors import StoreRejected, StoreUnavailable
from spanstream.store.queries import Match, Scope
from spanstream.store.store import Store
from tests.unit.indexer.documents import GENERATION, Document, deleted
from tests.unit.indexer.queries import query
from tests.unit.indexer.stores import Faulty, Killed, open_edge

KEY = Key("acme", "wiki", "a/1 %")
NOW = 1_700_000_000_000_000
FISH = (["One fish.", "Two fish."], ["Red stones."])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_edge(tmp_path)
    yield store
    store.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def indexer(store: Store, clock: Clock | None = None) -> Indexer:
    standing = Standing(store, GENERATION.name, refresh_seconds=1.0, clock=clock or Clock())
    return Indexer(store, GENERATION, lambda: NOW, standing)


def document(version: int, *passages: list[str], key: Key = KEY, groups: tuple[str, ...] = ()) -> Document:
    return Document(key, version, passages or FISH, groups=groups)


def matches(results: Sequence[object]) -> list[MatchEvent]:
    told = [one for one in results if isinstance(one, Outgoing) and one.topic == MATCHES.name]
    events = [MatchEvent.FromString(one.value) for one in told]
    for one, event in zip(told, events, strict=True):
        assert one.key == Key(event.tenant, event.source, event.id).encode()
        assert dict(one.headers)["match_id"].decode() == event.match_id
    return events


def test_a_new_document_is_told_to_the_query_that_it_meets(store: Store) -> None:
    fish = query("two fish")
    store.standing().save(fish)
    store.standing().save(query("submarine", id="other"))
    shown = document(3)
    [event] = matches(indexer(store)(shown.records()))
    assert (event.tenant, event.source, event.id, event.version) == (*KEY, 3)
    assert event.match_id == str(match_id(fish.uuid, 1, KEY, 3, shown.content_hash))
    assert (event.query_id, event.query_revision, event.ordinal) == ("fish", 1, 0)
    assert (event.start, event.end, event.span_start, event.span_end) == (0, 19, 10, 19)
    assert event.span_text == shown.text[10:19] == "Two fish."
    assert event.score >= 0.5
    assert event.indexed_at_us == NOW


def test_a_query_saved_later_is_told_of_newer_documents_only(store: Store) -> None:
    clock = Clock()
    index = indexer(store, clock)
    assert matches(index(document(1).records())) == []
    store.standing().save(query("two fish"))
    clock.now += 1.0
    [event] = matches(index(document(1, key=Key("acme", "wiki", "b")).records()))
    assert event.id == "b"


def test_a_query_takes_effect_and_ends_within_the_refresh(store: Store) -> None:
    clock = Clock()
    index = indexer(store, clock)
    index(document(1).records())
    store.standing().save(query("two fish"))
    clock.now += 0.9
    assert matches(index(document(2, *FISH, ["more"]).records())) == []
    clock.now += 0.1
    assert len(matches(index(document(3, *FISH).records()))) == 1
    store.standing().delete(Scope("acme"), "fish")
    clock.now += 1.0
    assert matches(index(document(4, *FISH, ["again"]).records())) == []


def test_an_unchanged_document_and_a_deleted_one_are_not_told(store: Store) -> None:
    store.standing().save(query("two fish"))
    index = indexer(store)
    assert len(matches(index(document(1).records()))) == 1
    assert matches(index(document(2).records(unchanged=True))) == []
    assert matches(index([deleted(KEY, 3)])) == []


def test_a_new_version_is_told_anew_and_an_old_one_not(store: Store) -> None:
    store.standing().save(query("two fish"))
    index = indexer(store)
    ids = [event.match_id for n in (1, 5) for event in matches(index(document(n).records()))]
    assert len(set(ids)) == 2
    assert matches(index(document(3).records())) == []


def test_a_document_in_parts_is_told_once_it_is_whole(store: Store) -> None:
    store.standing().save(query("red stones"))
    index = indexer(store)
    whole = matches(indexer(store)(document(1, *FISH, ["x y."], key=Key("acme", "wiki", "w")).records()))
    first, second, third = document(1, *FISH, ["x y."]).records(3)
    assert matches(index([second])) == []
    assert matches(index([first])) == []
    [event] = matches(index([third]))
    assert (event.ordinal, event.span_text) == (1, "Red stones.")
    assert event.score == pytest.approx(whole[0].score, abs=1e-3)  # the store keeps half precision
    [again] = matches(index([third]))
    assert again.match_id == event.match_id


def test_tenants_and_groups_and_filters_keep_to_themselves(store: Store) -> None:
    queries = store.standing()
    queries.save(query("two fish", id="tenant-wide"))
    queries.save(query("two fish", id="staff", scope=Scope("acme", ("staff",))))
    queries.save(query("two fish", id="nobody", scope=Scope("acme", ())))
    queries.save(query("two fish", id="foreign", scope=Scope("other")))
    queries.save(query("two fish", id="news", where=Match("source", ("news",))))
    queries.save(query("two fish", id="wiki", where=Match("source", ("wiki",))))
    index = indexer(store)

    def told(number: int, *groups: str) -> set[str]:
        found = matches(index(document(number, groups=groups).records()))
        assert all(list(event.groups) == list(groups) for event in found)
        return {event.query_id for event in found}

    assert told(1) == {"tenant-wide", "staff", "nobody", "wiki"}
    assert told(2, "staff") == {"tenant-wide", "staff", "wiki"}
    assert told(3, "board") == {"tenant-wide", "wiki"}


def test_vectors_of_another_generation_are_never_met(store: Store) -> None:
    store.standing().save(query("two fish", generation="another"))
    store.standing().save(replace(query("two fish", id="bare"), computed=None))
    assert matches(indexer(store)(document(1).records())) == []


def test_a_filter_that_the_store_refuses_harms_no_document(store: Store) -> None:
    store.standing().save(query("two fish", where=Match("source", ("wiki",))))
    store.standing().save(query("two fish", id="plain"))

    class Refusing(Faulty):
        def admitted(self, *_: object) -> set[Key]:
            raise StoreRejected("no")

    results = indexer(Refusing(store))(document(1).records())
    assert [event.query_id for event in matches(results)] == ["plain"]
    assert len(results) == 1


@pytest.mark.parametrize("lost", [True, False])
def test_a_kill_at_any_call_loses_no_match_and_makes_no_other_id(store: Store, tmp_path: Path, lost: bool) -> None:
    wanted = matches_of_an_undisturbed_run(tmp_path / "undisturbed")
    for at in itertools.count():
        fresh = open_edge(tmp_path / f"{at}")
        save_queries(fresh)
        faulty = Faulty(fresh, at=at, lost=lost)
        told: list[MatchEvent] = []
        try:
            told += matches(indexer(faulty)(poll()))
            killed = False
        except Killed:
            killed = True
            told += matches(indexer(fresh)(poll()))  # a new process reads again what was not committed
        fresh.close()
        assert {event.match_id for event in told} >= wanted
        if not killed:
            assert {event.match_id for event in told} == wanted
            break
    assert at > 5


def save_queries(store: Store) -> None:
    store.standing().save(query("two fish"))
    store.standing().save(query("stones", id="wiki", where=Match("source", ("wiki",))))


def poll() -> list[Record]:
    """A document, its bump and another one."""
    return [
        *document(1).records(),
        *document(2).records(unchanged=True),
        *document(7, key=Key("acme", "wiki", "b")).records(),
    ]


def matches_of_an_undisturbed_run(folder: Path) -> set[str]:
    store = open_edge(folder)
    save_queries(store)
    found = {event.match_id for event in matches(indexer(store)(poll()))}
    store.close()
    assert len(found) == 4
    return found


def test_a_kill_between_publish_and_commit_repeats_the_same_matches(store: Store) -> None:
    store.standing().save(query("two fish"))
    log = MemoryLog()
    log.ensure_topics(ALL)
    for record in document(1).records():
        log.append(EMBEDDINGS.name, record.key, record.value, record.headers)

    def loop() -> Loop:
        consumer = log.consumer("indexer", [EMBEDDINGS.name])
        return Loop("indexer", consumer, log.producer(), indexer(store), commit_seconds=60.0, poll_wait=0.0)

    first = loop()
    first.step()  # flips and publishes; the commit is not due
    assert sum(log.committed("indexer", EMBEDDINGS.name).values()) == 0
    first._consumer.close()  # as a kill: without a commit
    second = loop()
    second.step()
    values = [record.value for partition in log.topics[MATCHES.name] for record in partition]
    assert len(values) == 2
    assert values[0] == values[1]


def test_the_store_away_while_queries_are_read_puts_the_poll_back(store: Store) -> None:
    store.standing().save(query("two fish"))

    class Away(Faulty):
        away = True

        def standing(self) -> object:
            if self.away:
                raise StoreUnavailable("away")
            return store.standing()

    faulty = Away(store)
    index = indexer(faulty)
    with pytest.raises(Retry):
        index(document(1).records())
    faulty.away = False
    assert len(matches(index(document(1).records()))) == 1
