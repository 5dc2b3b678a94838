"""The store port, on its adapters: memory, Qdrant Edge, and a Qdrant server where STORE_URL names one (else its client's
local mode, which checks this adapter's calls but proves nothing of a server's durability or replicas)."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from spanstream.events.ids import MAX_VERSION, Key, head_id
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.errors import StoreRejected, StoreUnavailable, TooLarge
from spanstream.store.kept import Kept
from spanstream.store.memory import MemoryStore
from spanstream.store.points import Failure, Head, Passage, PassageMark, State
from spanstream.store.queries import (
    AllOf,
    AnyOf,
    Condition,
    DateRange,
    Dense,
    Leg,
    Lexical,
    Match,
    Not,
    Query,
    Range,
    Scope,
    Spans,
)
from spanstream.store.server import ServerStore
from spanstream.store.standing import Computed, Part, StandingQuery
from spanstream.store.store import Store
from tests.fixtures.store import DIMENSION, hash_of, head, passage, scores, sparse, unit

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

GENERATION = "model@1+rules@2"
ONE, TWO = hash_of("one"), hash_of("two")
LOCAL_MODE_DIFFERS = {
    "test_equal_scores_come_by_id": "numpy multiplies in blocks, so scores of equal vectors differ in the last bit",
}


def _remote(url: str) -> Iterator[ServerStore]:
    prefix = f"test-{uuid.uuid4().hex[:8]}-"
    yield ServerStore.at(url, os.environ.get("STORE_API_KEY"), prefix)
    client = QdrantClient(url=url, api_key=os.environ.get("STORE_API_KEY"))
    for collection in client.get_collections().collections:
        if collection.name.startswith(prefix):
            client.delete_collection(collection.name)
    client.close()


@pytest.fixture(params=["memory", "edge", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An open, empty store."""
    if request.param != "server":
        made: Store = MemoryStore() if request.param == "memory" else EdgeStore(tmp_path)
        made.open(GENERATION, DIMENSION, Compression.NONE)
        yield made
        made.close()
    elif url := os.environ.get("STORE_URL", ""):
        for made in _remote(url):
            made.open(GENERATION, DIMENSION, Compression.NONE)
            yield made
            made.close()
    else:
        if reason := LOCAL_MODE_DIFFERS.get(request.function.__name__):
            request.applymarker(pytest.mark.xfail(reason=f"local mode: {reason}", strict=True))
        made = ServerStore(QdrantClient(":memory:"))
        made.open(GENERATION, DIMENSION, Compression.NONE)
        yield made
        made.close()


def key(name: str = "d", tenant: str = "acme", source: str = "wiki") -> Key:
    return Key(tenant, source, name)


def ids(hits: list) -> list[str]:
    return [hit.id for hit in hits]


def found(store: Store, scope: Scope, where: Condition | None = None) -> set[str]:
    """Document ids of the passages that a scope and condition admit."""
    [hits] = store.search([Query(Dense(unit(np.random.default_rng(1))), scope, 1000, where)])
    return {hit.passage.key.id for hit in hits}


# --- Heads -----------------------------------------------------------------------------------------------------------


def test_flip_of_an_absent_head_inserts_it_and_returns_it_as_written(store: Store) -> None:
    written = Head(
        key(), 7, State.LIVE, ONE, 7, 3, "A title", "text/html", {"year": 1990, "tags": ["a", "b"]}, ("x", "y"), 11, 12
    )
    assert store.heads([key()]) == {}
    assert store.flip_heads([written]) == [written]
    assert store.heads([key(), key("other")]) == {key(): written}


def test_flip_with_a_vector_is_read_back_without_it(store: Store) -> None:
    vector = unit(np.random.default_rng(0))
    [stored] = store.flip_heads([Head(key(), 7, State.LIVE, ONE, 7, dense=vector)])
    assert stored.dense is None


def test_flip_of_a_lower_order_returns_the_winner_unchanged(store: Store) -> None:
    winner = head(key(), 5, content_hash=TWO)
    store.flip_heads([winner])
    for loser in (
        head(key(), 4, content_hash=ONE),
        head(key(), 4, state=State.DELETED),
        head(key(), 5, content_hash=TWO, count=99),
    ):
        assert store.flip_heads([loser]) == [winner]


@pytest.mark.finding("Qdrant Edge: conditions tell versions next to 2^53 apart", "confirmed")
def test_versions_next_to_the_largest_are_told_apart(store: Store) -> None:
    below, top = head(key(), MAX_VERSION - 1), head(key(), MAX_VERSION)
    assert store.flip_heads([below]) == [below]
    assert store.flip_heads([top]) == [top]
    assert store.flip_heads([below]) == [top]


@pytest.mark.promise("I4")
def test_a_tombstone_stays_against_older_and_equal_versions_and_gives_way_to_newer(store: Store) -> None:
    tombstone = head(key(), 5, state=State.DELETED, count=0)
    assert store.flip_heads([tombstone]) == [tombstone]
    assert store.flip_heads([head(key(), 5, content_hash=TWO)]) == [tombstone]
    assert store.flip_heads([head(key(), 4)]) == [tombstone]
    newer = head(key(), 6)
    assert store.flip_heads([newer]) == [newer]


EVENTS = st.lists(
    st.builds(
        lambda version, deleted, name: (version, deleted, name),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from(["one", "two", "three"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, data=st.data())
@pytest.mark.promise("I3")
def test_the_highest_order_wins_whatever_the_arrival(store: Store, events: list, data: st.DataObject) -> None:
    arrival = data.draw(st.permutations(events))
    together = data.draw(st.booleans())
    mine = key(uuid.uuid4().hex)
    heads = [
        head(mine, version, state=State.DELETED if deleted else State.LIVE, content_hash=hash_of(name))
        for version, deleted, name in arrival
    ]
    if together:
        store.flip_heads(heads)
    else:
        for item in heads:
            store.flip_heads([item])
    assert store.heads([mine])[mine].order == max(item.order for item in heads)


def test_a_larger_hash_wins_at_an_equal_version(store: Store) -> None:
    small, large = sorted([head(key(), 5, content_hash=ONE), head(key(), 5, content_hash=TWO)], key=lambda h: h.order)
    assert store.flip_heads([large]) == [large]
    assert store.flip_heads([small]) == [large]


def test_bump_raises_only_the_version_of_a_live_head_of_the_same_content(store: Store) -> None:
    [before] = store.flip_heads([head(key(), 5, count=3, metadata={"a": 1})])
    [after] = store.bump_heads([(before, 9)])
    assert after is not None
    assert (after.version, after.body_version, after.passage_count, after.metadata) == (9, 5, 3, {"a": 1})
    assert after.content_hash == ONE


def test_bump_is_refused_for_other_content_lower_versions_tombstones_and_unknown_documents(store: Store) -> None:
    live, gone = head(key("live"), 5), head(key("gone"), 5, state=State.DELETED)
    store.flip_heads([live, gone])
    assert store.bump_heads(
        [
            (head(key("live"), 5, content_hash=TWO), 9),
            (live, 5),
            (live, 4),
            (head(key("gone"), 5), 9),
            (head(key("unknown")), 9),
        ]
    ) == [live, live, live, gone, None]
    assert store.heads([key("unknown")]) == {}


# --- Failures --------------------------------------------------------------------------------------------------------


def failure(version: int, reason: str = "PARSE_FAILED") -> Failure:
    return Failure(version, "ingestor", reason, "what happened", 17, ("staff",))


def test_a_failure_of_an_unknown_document_makes_an_absent_head_that_any_flip_beats(store: Store) -> None:
    store.record_failures([(key(), failure(3))])
    absent = store.heads([key()])[key()]
    assert (absent.state, absent.failure) == (State.ABSENT, failure(3))
    assert store.count(Scope("acme")) == 0
    [live] = store.flip_heads([head(key(), 3)])
    assert (live.state, live.failure) == (State.LIVE, None)


def test_a_failure_is_noted_where_newer_than_the_head_and_ignored_otherwise(store: Store) -> None:
    before = head(key(), 5, count=2)
    store.flip_heads([before])
    store.record_failures([(key(), failure(4)), (key(), failure(5))])
    assert store.heads([key()])[key()] == before
    store.record_failures([(key(), failure(6))])
    after = store.heads([key()])[key()]
    assert (after.failure, after.version, after.state) == (failure(6), 5, State.LIVE)


def test_the_newest_failure_stays(store: Store) -> None:
    store.record_failures([(key(), failure(6)), (key(), failure(8)), (key(), failure(7))])
    store.record_failures([(key(), failure(7, "ENCRYPTED"))])
    assert store.heads([key()])[key()].failure == failure(8)
    store.record_failures([(key(), failure(8, "ENCRYPTED"))])
    assert store.heads([key()])[key()].failure == failure(8, "ENCRYPTED")


def test_a_flip_or_bump_forgets_older_failures_and_keeps_newer_ones(store: Store) -> None:
    store.flip_heads([head(key(), 5)])
    store.record_failures([(key(), failure(7))])
    [stored] = store.flip_heads([head(key(), 6)])
    assert stored.failure == failure(7)
    [bumped] = store.bump_heads([(stored, 7)])
    assert bumped is not None
    assert bumped.failure is None
    store.record_failures([(key(), failure(9))])
    [stored] = store.flip_heads([head(key(), 10)])
    assert stored.failure is None


def test_a_failure_is_forgotten_by_its_time_and_no_other(store: Store) -> None:
    store.flip_heads([head(key("live"), 5)])
    store.record_failures([(key("live"), failure(7)), (key("absent"), failure(7)), (key("other"), failure(7))])
    store.forget_failures([(key("live"), 16), (key("absent"), 18), (key("unknown"), 17)])
    assert {each.failure for each in store.heads([key("live"), key("absent"), key("other")]).values()} == {failure(7)}
    assert key("unknown") not in store.heads([key("unknown")])
    store.forget_failures([(key("live"), 17), (key("absent"), 17)])
    after = store.heads([key("live"), key("absent"), key("other")])
    assert (after[key("live")].failure, after[key("live")].version) == (None, 5)
    assert key("absent") not in after  # nobody is told that there was anything
    assert after[key("other")].failure == failure(7)
    store.forget_failures([])


def test_a_failure_that_comes_late_does_not_replace_a_newer_one(store: Store) -> None:
    """Whoever notes it may have read the head long before."""
    read = store.heads

    def read_long_before(keys: Sequence[Key]) -> dict[Key, Head]:
        found = read(keys)
        store.heads = read  # type: ignore[method-assign]
        store.record_failures([(key(), failure(3))])
        return found

    store.heads = read_long_before  # type: ignore[method-assign]
    store.record_failures([(key(), failure(2))])
    assert store.heads([key()])[key()].failure == failure(3)


def test_a_failure_that_is_noted_while_the_head_flips_is_kept(store: Store) -> None:
    """Whoever reads failures need not be who reads embeddings."""
    store.flip_heads([head(key(), 1), head(key("other"), 1)])
    read = store.heads

    def read_just_before(keys: Sequence[Key]) -> dict[Key, Head]:
        found = read(keys)
        store.heads = read  # type: ignore[method-assign]
        store.record_failures([(key(), failure(3)), (key("new"), failure(3))])
        return found

    store.heads = read_just_before  # type: ignore[method-assign]
    flipped = store.flip_heads([head(key(), 2), head(key("other"), 2), head(key("new"), 1)])
    assert [(each.version, each.failure and each.failure.version) for each in flipped] == [(2, 3), (2, None), (1, 3)]


# --- Passages --------------------------------------------------------------------------------------------------------


def test_counts_are_exact_per_key_version_and_content(store: Store) -> None:
    written = [passage(key("a"), i) for i in range(300)]
    written += [passage(key("a"), i, version=2) for i in range(5)]
    written += [passage(key("a"), i, content_hash=TWO) for i in range(4)]
    written += [passage(key("b"), i) for i in range(3)]
    written += [passage(key("a", tenant="other"), i) for i in range(2)]
    store.upsert_passages(written)
    store.upsert_passages(written[:50])
    assert store.count_passages(
        [
            (key("a"), 1, ONE),
            (key("a"), 2, ONE),
            (key("a"), 1, TWO),
            (key("b"), 1, ONE),
            (key("a", tenant="other"), 1, ONE),
            (key("c"), 1, ONE),
            (key("a"), 1, ONE),
        ]
    ) == [300, 5, 4, 3, 2, 0, 300]
    assert store.count_passages([]) == []


def test_passages_of_a_head_come_by_ordinal_with_what_was_written(store: Store) -> None:
    written = [
        passage(key(), i, metadata={"n": 1.0, "deep": {"list": [1, "x", None]}}, groups=("g",)) for i in range(12)
    ]
    store.upsert_passages([*reversed(written), passage(key(), 0, version=2)])
    owner = head(key(), 1, count=12)
    read = store.passages(owner, vectors=True)
    for before, after in zip(written, read, strict=True):
        for name in ("key", "version", "content_hash", "ordinal", "start", "end", "text", "title", "groups", "tokens"):
            assert getattr(after, name) == getattr(before, name)
        assert after.metadata == {"n": 1, "deep": {"list": [1, "x", None]}}
        assert after.span_offsets.tolist() == before.span_offsets.tolist()
        assert after.dense == pytest.approx(before.dense, abs=1e-3)
    assert all(item.dense is None for item in store.passages(owner))
    assert store.passages(head(key(), 3, state=State.DELETED)) == []


def test_span_vectors_are_those_written(store: Store) -> None:
    written = [passage(key(), i) for i in range(3)]
    store.upsert_passages(written)
    read = store.span_vectors([item.id for item in written[:2]])
    assert read.keys() == {item.id for item in written[:2]}
    for item in written[:2]:
        assert read[item.id].dtype == np.float32
        assert read[item.id] == pytest.approx(item.spans, abs=1e-3)
    assert store.span_vectors([]) == {}


def test_vectors_to_compare_passages_by_are_those_written(store: Store) -> None:
    written = [passage(key(), 0), replace(passage(key(), 1), lexical=None)]
    store.upsert_passages(written)
    read = store.vectors([*(item.id for item in written), passage(key("other"), 0).id])
    assert read.keys() == {item.id for item in written}
    for item in written:
        assert read[item.id].dense.dtype == np.float32
        assert read[item.id].dense == pytest.approx(item.dense, abs=1e-3)
    assert written[0].lexical is not None
    assert read[written[0].id].lexical.indices.tolist() == written[0].lexical.indices.tolist()
    assert read[written[0].id].lexical.values == pytest.approx(written[0].lexical.values, abs=1e-3)
    assert len(read[written[1].id].lexical.indices) == 0
    assert store.vectors([]) == {}


def remaining(store: Store, bodies: list[tuple[int, bytes]], name: str = "d") -> list[tuple[int, bytes]]:
    counts = store.count_passages([(key(name), *body) for body in bodies])
    return [body for body, count in zip(bodies, counts, strict=True) if count]


@pytest.mark.promise("I6")
def test_stale_passages_are_those_below_the_head_that_it_does_not_name(store: Store) -> None:
    small, large = sorted([ONE, TWO])
    bodies = [(version, content) for version in (3, 4, 5, 6) for content in (small, large)]
    everything = [passage(key(name), 0, version=v, content_hash=h) for name in ("d", "e") for v, h in bodies]

    store.upsert_passages(everything)
    store.delete_stale([head(key(), 5, content_hash=small)])
    assert remaining(store, bodies) == [(5, small), (5, large), (6, small), (6, large)]
    store.delete_stale([head(key(), 5, content_hash=large)])
    assert remaining(store, bodies) == [(5, large), (6, small), (6, large)]
    assert remaining(store, bodies, "e") == bodies


def test_a_bumped_head_keeps_its_body_and_a_tombstone_keeps_only_what_is_above_it(store: Store) -> None:
    small, large = sorted([ONE, TWO])
    bodies = [(3, small), (4, large), (5, small), (5, large), (6, small)]
    store.upsert_passages([passage(key(), 0, version=v, content_hash=h) for v, h in bodies])
    store.delete_stale([Head(key(), 5, State.LIVE, small, 3, 1)])
    assert remaining(store, bodies) == [(3, small), (5, small), (5, large), (6, small)]
    store.delete_stale([head(key(), 5, state=State.DELETED, content_hash=small)])
    assert remaining(store, bodies) == [(6, small)]


def test_an_absent_head_deletes_nothing(store: Store) -> None:
    store.upsert_passages([passage(key(), 0, version=0)])
    store.record_failures([(key(), failure(3))])
    store.delete_stale([store.heads([key()])[key()]])
    assert remaining(store, [(0, ONE)]) == [(0, ONE)]


# --- Search ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(store: Store) -> list[Passage]:
    """120 passages of two tenants, written."""
    written = [
        passage(key(f"d{n}", tenant, source), i, seed=n, metadata={"n": n})
        for n, (tenant, source) in enumerate(itertools.product(("acme", "beta"), ("wiki", "mail", "code")))
        for i in range(20)
    ]
    store.upsert_passages(written)
    return written


def legs(seed: int) -> list[Leg]:
    rng = np.random.default_rng(seed)
    terms = {int(term) + 2**32 - 50: float(weight) for term, weight in zip(range(0, 40, 7), range(1, 7), strict=True)}
    return [Dense(unit(rng)), Spans(unit(rng)), Lexical(sparse(terms))]


def agree(hits: list, expected: dict[str, float], limit: int) -> None:
    """The hits are the best of `expected`, with its scores, in order (equal scores by id)."""
    assert ids(hits) == [hit.id for hit in sorted(hits, key=lambda hit: (-hit.score, hit.id))]
    assert len(hits) == min(limit, len(expected))
    best = sorted(expected.values(), reverse=True)[:limit]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=2e-3)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.id], abs=2e-3)
        assert hit.passage.id == hit.id


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [1, 7, 500])
def test_every_leg_agrees_with_brute_force_within_the_tenant(
    store: Store, library: list[Passage], seed: int, limit: int
) -> None:
    for tenant in ("acme", "beta"):
        mine = [item for item in library if item.key.tenant == tenant]
        answers = store.search([Query(leg, Scope(tenant), limit) for leg in legs(seed)])
        for leg, hits in zip(legs(seed), answers, strict=True):
            agree(hits, scores(leg, mine, mine), limit)


def test_word_frequencies_are_those_of_the_tenant_not_of_the_filter_or_of_others(
    store: Store, library: list[Passage]
) -> None:
    mine = [item for item in library if item.key.tenant == "acme"]
    mail = [item for item in mine if item.key.source == "mail"]
    leg = legs(0)[2]
    [hits] = store.search([Query(leg, Scope("acme"), 50, Match("source", ("mail",)))])
    agree(hits, scores(leg, mail, mine), 50)


def test_among_gives_exact_scores_of_just_those(store: Store, library: list[Passage]) -> None:
    mine = [item for item in library if item.key.tenant == "acme"]
    chosen = mine[::5] + library[-3:]  # another tenant's ids stay unseen
    names = [item.id for item in chosen]
    answers = store.search([Query(leg, Scope("acme"), 50, among=names) for leg in legs(4)])
    for leg, hits in zip(legs(4), answers, strict=True):
        agree(hits, scores(leg, mine[::5], mine), 50)
    assert store.search([Query(leg, Scope("acme"), 50, among=[]) for leg in legs(4)]) == [[], [], []]
    assert store.search([]) == []


def test_equal_scores_come_by_id(store: Store) -> None:
    same = [passage(key(f"d{n}"), 0, seed=0) for n in range(9)]
    store.upsert_passages(same)
    for hits in store.search([Query(leg, Scope("acme"), 9) for leg in legs(0)[:2]]):
        assert ids(hits) == sorted(item.id for item in same)


def test_a_passage_without_some_vector_is_found_by_the_other_legs(store: Store) -> None:
    rng = np.random.default_rng(0)
    bare = Passage(key(), 1, ONE, 0, 0, 3, "abc", "", {}, (), 1, np.zeros((0, 2), np.int32), dense=unit(rng))
    store.upsert_passages([bare])
    dense, spans, lexical = store.search([Query(leg, Scope("acme"), 5) for leg in legs(0)])
    assert (ids(dense), spans, lexical) == ([bare.id], [], [])
    assert dense[0].passage.span_offsets.shape == (0, 2)


def test_hits_show_the_passage_without_vectors(store: Store, library: list[Passage]) -> None:
    [[hit]] = store.search([Query(Dense(library[3].dense), Scope("acme"), 1)])
    assert (hit.passage.text, hit.passage.key, hit.passage.metadata) == (library[3].text, library[3].key, {"n": 0})
    assert hit.passage.dense is None
    assert hit.passage.spans is None


# --- Filters ---------------------------------------------------------------------------------------------------------

DOCUMENTS = {
    "a": {"year": 1990, "tags": ["x", "y"], "author": {"name": "Ann", "age": 41.5}, "date": "2024-01-31T12:00:00Z"},
    "b": {"year": 1991.0, "tags": ["y"], "author": {"name": "Bob"}, "draft": True, "date": "2024-02-01"},
    "c": {"year": 2000, "tags": [], "odd.name [1]": "v", "draft": False, "date": "2025-01-01T00:00:00+01:00"},
    "d": {"tags": "x", "books": [{"isbn": 1}, {"isbn": 2}]},
}
META = "metadata."


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Match("id", ("a", "d", "nope")), "ad"),
        (Match("source", ("wiki",)), "abcd"),
        (Match("source", ("mail",)), ""),
        (Match(META + "author.name", ("Ann",)), "a"),
        (Match(META + "year", (1991, 2000)), "bc"),
        (Match(META + "year", ("1991",)), ""),
        (Match(META + "draft", (True,)), "b"),
        (Match(META + "draft", (True, False)), "bc"),
        (Match(META + "tags", ("x",)), "ad"),
        (Match(META + "tags", ("x", 5, True)), "ad"),
        (Match(META + "tags", ()), ""),
        (Match(META + "books[].isbn", (2,)), "d"),
        (Match(META + "none", ("x",)), ""),
        (Range(META + "year", gte=1990, lt=2000), "ab"),
        (Range(META + "year", gt=1990, lte=2000), "bc"),
        (Range(META + "author.age", gt=41), "a"),
        (Range(META + "tags", gt=0), ""),
        (DateRange(META + "date", gte="2024-02-01T00:00:00Z"), "bc"),
        (DateRange(META + "date", lt="2025-01-01T00:00:00Z"), "abc"),
        (DateRange(META + "date", gt="2024-02-01"), "c"),
        (DateRange(META + "date", gte="2024-01-31T13:00:00+01:00", lte="2024-02-01"), "ab"),
        (DateRange(META + "year", gte="1980-01-01"), ""),
        (DateRange(META + "none", gte="1980-01-01"), ""),
        (Range(META + "date", gt=0), ""),
        (Range(META + "author.age", gte=41.5, lte=41.5), "a"),
        (Range(META + "year", gte=1991, lte=1991), "b"),
        (AllOf(()), "abcd"),
        (AnyOf(()), ""),
        (Not(AnyOf(())), "abcd"),
        (Not(Match(META + "tags", ("x",))), "bc"),
        (AllOf((Match(META + "tags", ("y",)), Range(META + "year", gt=1990))), "b"),
        (AnyOf((Match(META + "tags", ("y",)), Match(META + "draft", (False,)))), "abc"),
        (Not(AllOf((Match("id", ("a", "b")), Not(Match("id", ("b",)))))), "bcd"),
    ],
)
def test_filters(store: Store, where: Condition, expected: str) -> None:
    store.upsert_passages([passage(key(name), metadata=metadata) for name, metadata in DOCUMENTS.items()])
    store.flip_heads([head(key(name), metadata=metadata) for name, metadata in DOCUMENTS.items()])
    assert "".join(sorted(found(store, Scope("acme"), where))) == expected
    assert store.count(Scope("acme"), where) == len(expected)


def test_a_metadata_name_that_is_no_identifier_can_be_filtered_on(store: Store) -> None:
    store.upsert_passages([passage(key("c"), metadata={"odd name": {"ключ": "v"}})])
    assert found(store, Scope("acme"), Match("metadata.odd name.ключ", ("v",))) == {"c"}


# --- Facets ----------------------------------------------------------------------------------------------------------


def tallied(
    store: Store, field: str, limit: int = 100, scope: Scope = Scope("acme"), where: Condition | None = None
) -> list:
    tally = store.facets(scope, {field: limit}, where)[field]
    return [(type(value).__name__, value, count) for value, count in tally]


VALUES = [
    {"lang": "en", "tags": ["x", "y", "x"], "n": 1, "author": {"name": "Ann"}, "odd name": {"ключ": "v"}},
    {"lang": "de", "tags": ["y"], "n": 1.0, "author": {"name": "Bob"}, "flag": True},
    {"lang": "en", "tags": [], "n": 2.5, "author": "Ann", "flag": False},
    {"lang": None, "tags": "x", "n": "1", "flag": 1, "long": "a" * 600, "deep": {"a": [{"b": 1}]}},
]


@pytest.fixture
def values(store: Store) -> None:
    """Four documents of `acme`'s wiki, one of its mail, one deleted, one of another tenant."""
    store.flip_heads([head(key(f"d{n}"), metadata=metadata) for n, metadata in enumerate(VALUES)])
    store.flip_heads([head(key("e", source="mail"), metadata={"lang": "fr"}, groups=("staff",))])
    store.flip_heads([head(key("gone"), state=State.DELETED, metadata={"lang": "gone"})])
    store.flip_heads([head(key("theirs", tenant="beta"), metadata={"lang": "theirs"})])


@pytest.mark.usefixtures("values")
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("source", [("str", "wiki", 4), ("str", "mail", 1)]),
        ("metadata.lang", [("str", "en", 2), ("str", "de", 1), ("str", "fr", 1)]),
        ("metadata.tags", [("str", "x", 2), ("str", "y", 2)]),
        ("metadata.n", [("int", 1, 2), ("float", 2.5, 1), ("str", "1", 1)]),
        ("metadata.flag", [("int", 1, 1), ("bool", False, 1), ("bool", True, 1)]),
        ("metadata.author.name", [("str", "Ann", 1), ("str", "Bob", 1)]),
        ("metadata.odd name.ключ", [("str", "v", 1)]),
        ("metadata.long", []),
        ("metadata.deep", []),
        ("metadata.deep.a.b", []),
        ("metadata.none", []),
    ],
)
def test_facets_count_live_documents_by_value(store: Store, field: str, expected: list) -> None:
    assert tallied(store, field) == expected


@pytest.mark.usefixtures("values")
def test_facets_keep_to_scope_filter_and_limit(store: Store) -> None:
    assert tallied(store, "metadata.lang", 1) == [("str", "en", 2)]
    assert tallied(store, "source", 1) == [("str", "wiki", 4)]
    assert tallied(store, "metadata.lang", scope=Scope("acme", ())) == [("str", "en", 2), ("str", "de", 1)]
    assert tallied(store, "source", scope=Scope("acme", ("other",))) == [("str", "wiki", 4)]
    assert tallied(store, "metadata.lang", scope=Scope("gamma")) == tallied(store, "source", scope=Scope("gamma")) == []
    where = Match("metadata.tags", ("y",))
    assert tallied(store, "metadata.lang", where=where) == [("str", "de", 1), ("str", "en", 1)]
    both = store.facets(Scope("acme"), {"metadata.lang": 9, "source": 9}, where)
    assert both == {"metadata.lang": [("de", 1), ("en", 1)], "source": [("wiki", 2)]}
    assert store.facets(Scope("acme"), {}) == {}


def test_facets_are_exact_over_many_documents(store: Store) -> None:
    store.flip_heads([head(key(f"d{n}"), metadata={"n": n % 7}) for n in range(2500)])
    assert sorted((value, count) for _, value, count in tallied(store, "metadata.n")) == [
        (n, len(range(n, 2500, 7))) for n in range(7)
    ]


def test_a_tally_of_too_many_documents_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanstream.store.index.MAX_TALLIED", 3)
    store.flip_heads([head(key(f"d{n}"), metadata={"n": n}) for n in range(4)])
    with pytest.raises(TooLarge, match="at most 3 documents"):
        store.facets(Scope("acme"), {"metadata.n": 5})
    assert store.facets(Scope("acme"), {"source": 5}) == {"source": [("wiki", 4)]}
    assert tallied(store, "metadata.n", where=Range("metadata.n", lt=3)) != []


def test_matching_says_which_of_these_passages_a_condition_holds_for(store: Store) -> None:
    written = [passage(key(name), metadata=metadata) for name, metadata in DOCUMENTS.items()]
    theirs = passage(key("a", tenant="beta"), metadata=DOCUMENTS["a"])
    hidden = passage(key("h"), metadata=DOCUMENTS["a"], groups=("staff",))
    store.upsert_passages([*written, theirs, hidden])
    where, ids = Match(META + "tags", ("y",)), [item.id for item in (*written, theirs, hidden)]
    assert store.matching(Scope("acme", ()), where, ids) == {written[0].id, written[1].id}
    assert store.matching(Scope("acme", ()), where, ids[1:]) == {written[1].id}
    assert store.matching(Scope("acme"), where, [hidden.id]) == {hidden.id}
    assert store.matching(Scope("acme"), where, []) == set()
    with pytest.raises(StoreRejected):
        store.matching(Scope("acme"), Match("text", ("x",)), ids)


@pytest.mark.parametrize(
    "field", ["tenant", "text", "groups", "version", "metadata", "metadata.", "metadata..a", 'metadata.a"b', "key", ""]
)
def test_a_filter_on_any_other_field_is_refused(store: Store, field: str) -> None:
    for where in (Match(field, ("x",)), Not(Range(field, gt=1)), AnyOf((DateRange(field, gt="2024-01-01"),))):
        with pytest.raises(StoreRejected):
            found(store, Scope("acme"), where)
        with pytest.raises(StoreRejected):
            store.count(Scope("acme"), where)


# --- Scopes ----------------------------------------------------------------------------------------------------------


def test_groups_decide_who_sees_what(store: Store) -> None:
    documents: dict[str, tuple[str, ...]] = {"open": (), "red": ("red",), "both": ("red", "blue"), "blue": ("blue",)}
    store.upsert_passages([passage(key(name), groups=groups) for name, groups in documents.items()])
    store.flip_heads([head(key(name), groups=groups) for name, groups in documents.items()])
    for groups, expected in [
        (None, {"open", "red", "both", "blue"}),
        ((), {"open"}),
        (("red",), {"open", "red", "both"}),
        (("green",), {"open"}),
        (("blue", "green"), {"open", "both", "blue"}),
    ]:
        scope = Scope("acme", groups)
        assert found(store, scope) == expected
        assert store.count(scope) == len(expected)
        assert store.sources(scope) == {"wiki": len(expected)}


def test_sources_decide_what_is_seen_in_every_method(store: Store) -> None:
    keys = {source: key(source, source=source) for source in ("wiki", "mail", "chat")}
    passages = {source: passage(each, metadata={"kind": source}) for source, each in keys.items()}
    store.upsert_passages(list(passages.values()))
    store.flip_heads([replace(head(each), metadata={"kind": source}) for source, each in keys.items()])
    everything = AnyOf((Match("source", ("wiki", "mail", "chat")), Not(Match("id", ("wiki",)))))
    for sources in (None, ("wiki", "mail"), ("chat",), ("none",), ()):
        scope = Scope("acme", None, sources)
        expected = {source for source in keys if sources is None or source in sources}
        assert found(store, scope) == expected
        for leg in (Dense(passages["wiki"].dense), Spans(passages["wiki"].spans[0]), Lexical(passages["wiki"].lexical)):
            (hits,) = store.rank([Query(leg, scope, 9, everything)])
            assert {id for id, _ in hits} <= {passages[source].id for source in expected}
        assert store.count(scope, everything) == len(expected)
        assert store.sources(scope) == store.sources(scope, list(keys)) == dict.fromkeys(expected, 1)
        assert store.admitted(list(keys.values()), scope) == {keys[source] for source in expected}
        assert store.matching(scope, everything, [each.id for each in passages.values()]) == {
            passages[source].id for source in expected
        }
        assert set(store.facets(scope, {"metadata.kind": 9})["metadata.kind"]) == {(source, 1) for source in expected}


@pytest.mark.promise("I16")
def test_tenants_are_apart_in_every_method(store: Store) -> None:
    mine, theirs = key(tenant="acme"), key(tenant="beta")
    store.upsert_passages([passage(mine), passage(theirs, seed=1)])
    store.flip_heads([head(mine, 5), head(theirs, 7)])
    store.record_failures([(mine, failure(9))])
    store.bump_heads([(head(mine, 5), 6)])

    heads = store.heads([mine, theirs])
    assert (heads[mine].version, heads[theirs].version) == (6, 7)
    assert heads[theirs].failure is None
    assert store.count(Scope("beta")) == 1
    assert store.count(Scope("gamma")) == 0
    assert store.sources(Scope("gamma")) == {}
    for tenant in ("acme", "beta", "gamma"):
        for hits in store.search([Query(leg, Scope(tenant), 10) for leg in legs(0)[:2]]):
            assert {hit.passage.key.tenant for hit in hits} == ({tenant} - {"gamma"})

    store.delete_stale([head(mine, 9, state=State.DELETED)])
    store.flip_heads([head(mine, 9, state=State.DELETED)])
    assert store.count_passages([(mine, 1, ONE), (theirs, 1, ONE)]) == [0, 1]
    assert store.heads([theirs])[theirs].state is State.LIVE


def test_only_live_documents_are_counted(store: Store) -> None:
    store.flip_heads([head(key("a")), head(key("b"))])
    store.flip_heads([head(key("c", source="mail")), head(key("gone"), state=State.DELETED)])
    store.record_failures([(key("failed"), failure(1))])
    assert store.count(Scope("acme")) == 3
    assert store.sources(Scope("acme")) == {"wiki": 2, "mail": 1}
    assert store.sources(Scope("acme"), ["mail", "nowhere"]) == {"mail": 1}
    assert store.sources(Scope("acme"), []) == {}


# --- Life ------------------------------------------------------------------------------------------------------------


def test_open_again_changes_nothing_and_generations_are_apart(store: Store) -> None:
    store.upsert_passages([passage(key())])
    store.flip_heads([head(key())])
    store.open(GENERATION, DIMENSION, Compression.NONE)
    assert store.count(Scope("acme")) == 1
    store.open("next", DIMENSION, Compression.NONE)
    assert store.count(Scope("acme")) == 0
    assert store.heads([key()]) == {}
    store.open(GENERATION, DIMENSION, Compression.NONE)
    assert store.count_passages([(key(), 1, ONE)]) == [1]


def test_open_with_another_compression_keeps_what_is_there(store: Store) -> None:
    made = [passage(key(), ordinal) for ordinal in range(20)]
    store.upsert_passages(made)
    vector = unit(np.random.default_rng(1))
    exact = scores(Dense(vector), made, made)
    for compression in (Compression.BINARY, Compression.TURBO4, Compression.NONE):
        store.open(GENERATION, DIMENSION, compression)
        [hits] = store.rank([Query(Dense(vector), Scope("acme"), 20)])
        assert dict(hits) == pytest.approx(exact, abs=2e-3)


def test_open_with_another_dimension_is_refused(store: Store) -> None:
    store.open("next", DIMENSION, Compression.NONE)
    store.open(GENERATION, DIMENSION, Compression.NONE)
    with pytest.raises(StoreRejected):
        store.open("next", DIMENSION + 1, Compression.NONE)


def fill(store: Store, *names: str) -> None:
    store.upsert_passages([passage(key(name)) for name in names])
    store.flip_heads([head(key(name)) for name in names])


def test_a_store_beside_the_live_one_is_filled_while_that_goes_on(store: Store) -> None:
    fill(store, "a", "b")
    store.standing().save(standing())
    beside = store.beside()
    with pytest.raises(StoreUnavailable):
        beside.heads([key()])
    beside.open("next", DIMENSION, Compression.NONE)
    fill(beside, "a")
    fill(store, "c")
    assert (store.count(Scope("acme")), beside.count(Scope("acme"))) == (3, 1)
    assert store.holdings().held("acme").generation == GENERATION
    assert store.holdings().held("acme").elsewhere == {"next": 2}
    assert beside.standing().all() == [standing()]
    assert store.kept() == [Kept(GENERATION, True, 3), Kept("next", False, 1)]
    assert beside.kept() == store.kept()


def test_stores_beside_each_other_may_show_the_same_generation(store: Store) -> None:
    one, other = store.beside(), store.beside()
    for each in (one, other):
        each.open("next", DIMENSION, Compression.NONE)
    fill(one, "a")
    assert other.count(Scope("acme")) == 1
    one.close()
    fill(other, "b")
    assert other.count(Scope("acme")) == 2
    again = store.beside()
    again.open(GENERATION, DIMENSION, Compression.NONE)
    fill(again, "c")
    assert store.count(Scope("acme")) == 1


def test_a_generation_beside_may_have_another_dimension(store: Store) -> None:
    beside = store.beside()
    beside.open("next", 2 * DIMENSION, Compression.NONE)
    beside.flip_heads([replace(head(key()), dense=np.full(2 * DIMENSION, (2 * DIMENSION) ** -0.5, np.float32))])
    assert beside.count(Scope("acme")) == 1


def test_what_is_made_live_is_what_the_store_shows_and_what_is_opened_next(store: Store) -> None:
    fill(store, "a", "b")
    views = {}
    for name in (GENERATION, "next"):
        views[name] = store.beside()
        views[name].open(name, DIMENSION, Compression.NONE)
    fill(views["next"], "a")
    holdings, standing = store.holdings(), store.standing()
    for name, count in (("next", 1), (GENERATION, 2), ("next", 1), ("next", 1)):
        store.make_live(name)
        assert store.count(Scope("acme")) == count
        assert store.generations() == {name: True} | {other: False for other in views if other != name}
        assert holdings.held("acme").generation == name
        assert {each: views[each].count(Scope("acme")) for each in views} == {GENERATION: 2, "next": 1}
    assert standing.all() == []
    assert store.open_live() == "next"
    assert store.count(Scope("acme")) == 1


def test_memos_are_of_no_generation_and_no_standing_queries(store: Store) -> None:
    store.standing().save(standing())
    store.memos().write("move", {"old": "a", "ended": False})
    store.memos().write("move", {"old": "b", "of": [1, None, "\u00e4"]})
    store.open("next", DIMENSION, Compression.NONE)
    beside = store.beside()
    beside.open("third", DIMENSION, Compression.NONE)
    assert store.memos().read("move") == beside.memos().read("move") == {"old": "b", "of": [1, None, "\u00e4"]}
    assert store.memos().read("hold") is None
    for name in ("gateway/a", "gateway/b"):
        store.memos().write(name, {"id": name})
    assert sorted(each["id"] for each in beside.memos().all("gateway")) == ["gateway/a", "gateway/b"]
    store.memos().forget("gateway/a")
    assert [each["id"] for each in store.memos().all("gateway")] == ["gateway/b"]
    assert store.standing().all() == [standing()]
    for _ in range(2):
        beside.memos().forget("move")
    assert store.memos().read("move") is None


def test_the_live_one_is_known_before_anything_is_open(store: Store) -> None:
    beside = store.beside()
    assert beside.live() == GENERATION
    beside.open("next", DIMENSION, Compression.NONE)
    assert beside.live() == store.live() == GENERATION
    store.make_live("next")
    assert beside.live() == store.live() == "next"


def test_only_what_is_kept_is_made_live(store: Store) -> None:
    with pytest.raises(StoreRejected, match="no generation next"):
        store.make_live("next")
    assert store.open_live() == GENERATION


def test_only_a_live_generation_with_documents_would_be_replaced(store: Store) -> None:
    assert store.replaced("next") is None
    fill(store, "a")
    before = store.generations()
    assert store.replaced("next") == Kept(GENERATION, True, 1)
    assert store.replaced(GENERATION) is None
    assert store.beside().replaced("next") is None
    assert store.generations() == before
    assert store.count(Scope("acme")) == 1


def test_a_dropped_generation_is_gone_and_can_be_begun_anew(store: Store) -> None:
    fill(store, "a")
    beside = store.beside()
    beside.open("next", DIMENSION, Compression.NONE)
    fill(beside, "a")
    store.drop("next")
    assert store.kept() == [Kept(GENERATION, True, 1)]
    store.drop("next")  # as after a crash that nobody knows how far it came
    anew = store.beside()
    anew.open("next", 2 * DIMENSION, Compression.NONE)
    assert anew.count(Scope("acme")) == 0
    assert store.count(Scope("acme")) == 1


def test_the_live_generation_is_never_dropped(store: Store) -> None:
    fill(store, "a")
    beside = store.beside()
    beside.open("next", DIMENSION, Compression.NONE)
    with pytest.raises(StoreRejected, match="live"):
        store.drop(GENERATION)
    store.make_live("next")
    with pytest.raises(StoreRejected, match="live"):
        store.drop("next")
    store.drop(GENERATION)
    assert store.kept() == [Kept("next", True, 0)]


def test_a_vector_of_the_wrong_size_is_rejected_and_nothing_else_is_lost(store: Store) -> None:
    wrong = Passage(key("bad"), 1, ONE, 0, 0, 1, "a", "", {}, (), 1, np.zeros((0, 2), np.int32), np.ones(3, np.float32))
    store.upsert_passages([passage(key("good"))])
    with pytest.raises(StoreRejected):
        store.upsert_passages([wrong])
    assert store.count_passages([(key("good"), 1, ONE), (key("bad"), 1, ONE)]) == [1, 0]


def test_empty_calls_do_nothing(store: Store) -> None:
    store.upsert_passages([])
    assert store.flip_heads([]) == []
    assert store.bump_heads([]) == []
    assert store.heads([]) == {}
    store.record_failures([])
    store.delete_stale([])


def test_housekeeping_loses_nothing_and_close_is_idempotent(store: Store) -> None:
    store.upsert_passages([passage(key(), i) for i in range(1500)])
    store.delete_stale([head(key(), 2, content_hash=TWO)])
    store.upsert_passages([passage(key("new"), i) for i in range(10)])
    store.maintain()
    store.flush()
    assert not store.unready()
    assert store.count_passages([(key(), 1, ONE), (key("new"), 1, ONE)]) == [0, 10]
    store.close()
    store.close()


# --- Standing queries ------------------------------------------------------------------------------------------------

STAFF = Scope("acme", ("hr", "staff"))
WHERE = AllOf(
    (
        Match("source", ("wiki",)),
        Not(AnyOf((Range("metadata.year", lt=2000), DateRange("metadata.on", gt="2024-01-01")))),
    )
)


def standing(id: str = "tides", scope: Scope = Scope("acme"), revision: int = 7) -> StandingQuery:
    return StandingQuery(scope, id, revision, 0.5, {"query": "tides", "threshold": 0.5}, WHERE)


def computed(generation: str = "g1") -> Computed:
    rng = np.random.default_rng(3)
    parts = tuple(Part(unit(rng), sparse({5: 1.5, 2**32 - 1: 0.5})) for _ in range(2))
    return Computed(generation, 0.125, ["all", 0, ["not", 1]], parts)


def test_a_standing_query_is_read_as_it_was_saved(store: Store) -> None:
    queries = store.standing()
    queries.save(replace(standing(), computed=computed()))
    found = queries.get(Scope("acme"), "tides")
    assert found is not None
    assert replace(found, computed=None) == standing()
    assert found.computed is not None
    assert (found.computed.generation, found.computed.unrelated, found.computed.plan) == (
        "g1",
        0.125,
        ["all", 0, ["not", 1]],
    )
    for part, meant in zip(found.computed.parts, computed().parts, strict=True):
        np.testing.assert_array_equal(part.vector, meant.vector)
        np.testing.assert_array_equal(part.terms.indices, meant.terms.indices)
        np.testing.assert_array_equal(part.terms.values, meant.terms.values)


def test_a_standing_query_belongs_to_the_scope_that_saved_it(store: Store) -> None:
    queries = store.standing()
    scopes = [Scope("acme"), Scope("acme", ()), STAFF, Scope("other")]
    for number, scope in enumerate(scopes):
        queries.save(standing(scope=scope, revision=number))
    assert [queries.of(scope) for scope in scopes] == [[standing(scope=s, revision=n)] for n, s in enumerate(scopes)]
    queries.delete(STAFF, "tides")
    queries.delete(STAFF, "tides")
    assert queries.get(STAFF, "tides") is None
    assert queries.get(Scope("acme"), "tides") == standing(revision=0)
    assert (queries.count("acme"), queries.count("other"), queries.count("nobody")) == (2, 1, 0)
    assert len(queries.all()) == 3


def test_more_standing_queries_than_a_page_are_all_read(store: Store) -> None:
    for number in range(300):
        store.standing().save(standing(f"q{number:03}"))
    assert [query.id for query in store.standing().of(Scope("acme"))] == [f"q{number:03}" for number in range(300)]


def test_every_change_of_a_standing_query_moves_the_mark(store: Store) -> None:
    queries = store.standing()
    marks = [queries.mark()]
    for change in (
        lambda: queries.save(standing()),
        lambda: queries.save(standing()),
        lambda: queries.compute(standing(), computed()),
        lambda: queries.delete(Scope("acme"), "tides"),
    ):
        change()
        marks.append(queries.mark())
    assert len(set(marks)) == 5
    assert queries.mark() == marks[-1]


def test_a_standing_query_is_computed_only_as_it_was_read(store: Store) -> None:
    queries = store.standing()
    queries.save(standing(revision=8))
    queries.compute(standing(revision=7), computed())
    queries.compute(standing("deleted"), computed())
    assert queries.all() == [standing(revision=8)]
    queries.compute(standing(revision=8), computed("g2"))
    found = queries.get(Scope("acme"), "tides")
    assert found is not None
    assert found.computed is not None
    assert found.computed.generation == "g2"


def test_standing_queries_outlive_the_generation(store: Store) -> None:
    store.standing().save(standing())
    store.open("another-generation", 2 * DIMENSION, Compression.NONE)
    assert store.standing().all() == [standing()]


def test_admitted_are_the_live_documents_that_scope_and_condition_admit(store: Store) -> None:
    old, new, secret, foreign, dead = key("old"), key("new"), key("secret"), key("new", "other"), key("dead")
    store.flip_heads(
        [
            head(old, metadata={"year": 1990}),
            head(new, metadata={"year": 2010}),
            head(secret, metadata={"year": 2010}, groups=("board",)),
            head(foreign, metadata={"year": 2010}),
            head(dead, state=State.DELETED),
        ]
    )
    keys = [old, new, secret, foreign, dead, key("unknown")]
    assert store.admitted(keys, Scope("acme")) == {old, new, secret}
    assert store.admitted(keys, Scope("acme"), Range("metadata.year", gte=2000)) == {new, secret}
    assert store.admitted(keys, STAFF, Range("metadata.year", gte=2000)) == {new}
    assert store.admitted([old], Scope("acme")) == {old}
    assert store.admitted([], Scope("acme")) == set()


def test_words_in_documents_of_other_groups_do_not_change_a_score(store: Store) -> None:
    mine = passage(Key("acme", "wiki", "mine"), groups=("eng",))
    assert mine.lexical is not None
    query = Query(Lexical(sparse({int(mine.lexical.indices[0]): 1.0})), Scope("acme", ("eng",)), 5)
    store.upsert_passages([mine, passage(Key("acme", "wiki", "open"), seed=1)])
    before = store.rank([query])
    store.upsert_passages([passage(Key("acme", "wiki", f"hidden{n}"), groups=("hr",)) for n in range(3)])
    assert store.rank([query]) == before


# --- All of it -------------------------------------------------------------------------------------------------------


def test_a_scan_of_heads_goes_by_point_id_within_its_bounds(store: Store) -> None:
    keys = sorted((key(f"d{number}") for number in range(40)), key=lambda each: head_id(each).int)
    store.flip_heads([head(each, 3, state=State.DELETED, content_hash=TWO) for each in keys])
    found = list(store.scan_heads())
    assert [each.key for each in found] == keys
    assert {(each.version, each.state, each.content_hash) for each in found} == {(3, State.DELETED, TWO)}
    first, end = head_id(keys[10]).int, head_id(keys[30]).int
    assert [each.key for each in store.scan_heads(first, end)] == keys[10:30]


def test_a_scan_of_passages_shows_what_is_stored_whatever_the_heads_name(store: Store) -> None:
    named, stray = [passage(key(), ordinal) for ordinal in range(3)], passage(key("other"), 0, version=7)
    store.upsert_passages([*named, stray])
    store.flip_heads([head(key(), count=3)])
    marks = {mark.id: mark for mark in store.scan_passages()}
    assert marks.keys() == {each.id for each in (*named, stray)}
    assert marks[stray.id] == PassageMark(stray.id, key("other"), 7, ONE, 0)
    assert {mark.id for mark in store.scan_passages([key()])} == {each.id for each in named}
    assert list(store.scan_passages([])) == []


def test_what_was_opened_last_is_opened_as_it_is(store: Store) -> None:
    store.flip_heads([head(key())])
    assert store.open_live() == GENERATION
    assert [each.key for each in store.scan_heads()] == [key()]


# --- What is due to go ---


def test_what_is_due_is_told_and_only_old_tombstones_are_forgotten(store: Store) -> None:
    noon = 1_700_000_000_000_000
    due, later, never = key("due"), key("later"), key("never")
    store.flip_heads(
        [
            replace(head(due, 3), expires_at_us=noon),
            replace(head(later, 3), expires_at_us=noon + 1),
            replace(head(never, 3), accepted_at_us=noon),
            replace(head(key("gone"), 3, state=State.DELETED, count=0), indexed_at_us=noon),
            replace(head(key("gone lately"), 3, state=State.DELETED, count=0), indexed_at_us=noon + 1),
        ]
    )
    retention = store.retention()
    assert [each.key for each in retention.expired(noon, 10)] == [due]
    assert {each.key for each in retention.expired(noon + 1, 10)} == {due, later}
    assert len(retention.expired(noon + 1, 1)) == 1
    assert store.heads([due])[due].expires_at_us == noon
    of = (never.tenant, never.source)
    assert never not in [each.key for each in retention.older(*of, noon, 10)]
    assert never in [each.key for each in retention.older(*of, noon + 1, 10)]
    store.record_failures([(key("failed"), failure(3)), (never, failure(30))])  # at 17
    found = [{each.key for each in retention.older(*of, before, 10)} for before in (17, 18)]
    assert found[1] - found[0] == {key("failed")}
    assert never not in found[1]
    store.forget_failures([(key("failed"), 17)])
    assert retention.purge_tombstones(noon + 1, 10) == 1
    left = store.heads([key("gone"), key("gone lately"), never])
    assert set(left) == {key("gone lately"), never}


def test_what_is_held_is_counted_by_document_source_and_tenant_in_every_generation(store: Store) -> None:
    a, b, other = key("a"), key("b", source="news"), key("a", tenant="other")
    for each in (a, b, other):
        store.upsert_passages([passage(each, 0), passage(each, 1)])
        store.flip_heads([head(each, count=2)])
    before = store.holdings().held("acme").generation
    store.open("another", DIMENSION, Compression.NONE)
    store.upsert_passages([passage(a, 0, version=2)])
    store.flip_heads([head(a, 2), replace(head(b, 2, state=State.DELETED, count=0), indexed_at_us=5)])
    holdings = store.holdings()

    def counts(*of: str) -> tuple[int, int, int, int, int]:
        held = holdings.held(*of)
        assert held.generation == "another"
        return held.documents, held.tombstones, held.passages, held.elsewhere[before], held.deleted_at_us

    assert counts(*a) == (1, 0, 1, 3, 0)
    assert counts(*b) == (0, 1, 0, 3, 5)
    assert counts("acme", "wiki") == (1, 0, 1, 3, 0)
    assert counts("acme") == (1, 1, 1, 6, 5)
    assert counts("acme", "wiki", "unknown") == (0, 0, 0, 0, 0)
    assert [(each.key, each.newest) for each in holdings.live("acme", None, 10)] == [(a, 2)]
    assert holdings.live("acme", "news", 10) == []


def test_what_is_there_to_be_deleted_are_live_documents_and_versions_that_failed(store: Store) -> None:
    live, older, gone, mended, failed = (key(name) for name in ("live", "older", "gone", "mended", "failed"))
    store.flip_heads([head(live, 3), head(older, 3), head(mended, 7), head(gone, 3, state=State.DELETED, count=0)])
    store.flip_heads([head(key("deleted"), 3, state=State.DELETED, count=0)])
    store.record_failures([(each, failure(7)) for each in (older, gone, failed)])
    holdings = store.holdings()
    everything = {(live, 3), (older, 7), (mended, 7), (gone, 7), (failed, 7)}
    assert {(each.key, each.newest) for each in holdings.live("acme", None, 10)} == everything
    assert len(holdings.live("acme", None, 2)) == 2
    store.flip_heads([head(each, 7, state=State.DELETED, count=0) for each, _ in everything])
    assert holdings.live("acme", None, 10) == []
