"""A filter finds the same whether it asks facts and indexes or reads metadata, on both engines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.conditions import StoredCondition, stored_path, tenant, unknown
from spanstream.store.edge import EdgeEngine
from spanstream.store.engine import INDEXES, Collection, Delete, Engine, Operation, Point, Upsert
from spanstream.store.facts import MAX_FACTS, facts_payload
from spanstream.store.index import Index
from spanstream.store.payloads import head_payload
from spanstream.store.queries import AllOf, AnyOf, Condition, DateRange, Match, Not, Range, Scope
from spanstream.store.server import ServerEngine
from tests.fixtures.store import DIMENSION, head

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SCOPE = Scope("acme")
HEADS = Collection.DOCUMENTS


def opened(engine: Engine) -> Index:
    store = Index(engine)
    store.open("g", DIMENSION, Compression.NONE)
    return store


@pytest.fixture(params=["edge", "server"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made: Engine = EdgeEngine(tmp_path) if request.param == "edge" else ServerEngine(QdrantClient(":memory:"), "")
    yield made
    made.close()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeEngine]:
    made = EdgeEngine(tmp_path)
    yield made
    made.close()


def key(name: str, owner: str = "acme") -> Key:
    return Key(owner, "wiki", name)


def write(store: Index, documents: Sequence[Any], owner: str = "acme") -> None:
    store.flip_heads([head(key(str(n), owner), metadata=metadata) for n, metadata in enumerate(documents)])


def write_as_before(engine: Engine, documents: Sequence[Any], owner: str = "acme") -> None:
    """As versions did that knew no facts."""
    for n, metadata in enumerate(documents):
        payload = head_payload(head(key(str(n), owner), metadata=metadata))
        old = {name: value for name, value in payload.items() if name not in ("facts", "numbers", "dates")}
        engine.write(HEADS, [Upsert(Point(str(uuid.uuid4()), old, {}))])


def found(engine: Engine, condition: StoredCondition) -> set[str]:
    return {record.payload["id"] for record in engine.scroll(HEADS, condition)}


def kept(store: Index, count: int, where: Condition, owner: str = "acme") -> set[str]:
    keys = [key(str(n), owner) for n in range(count)]
    return {each.id for each in store.admitted(keys, Scope(owner), where)}


def read(condition: Condition, owner: str) -> StoredCondition:
    """The condition on metadata alone, which has no index."""
    return AllOf((tenant(Scope(owner)), _read(condition)))  # type: ignore[arg-type]


def _read(condition: Condition) -> Condition:
    match condition:
        case Match(field, values):
            return Match(stored_path(field), values)
        case Range(field) | DateRange(field):
            bounds = {name: getattr(condition, name) for name in ("gte", "gt", "lte", "lt")}
            return type(condition)(stored_path(field), **bounds)
        case AllOf(parts) | AnyOf(parts):
            return type(condition)(tuple(map(_read, parts)))
        case Not(inner):
            return Not(_read(inner))


DATES = [
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "2024-01-01T01:30:00+02:00",
    "2024-01-01T01:30:00.123456789-0200",
    "2024-01-01 12:30",
    "2024-01-01 12:30:05",
    " 2024-01-01",
    "+2024-01-01",
    "+12024-01-01T00:00:00Z",
    "-0044-03-15",
    "2024-1-1",
    "2024 - 01 - 01",
    "2024-02-30",
    "20240101",
    "1 Jan 2024",
    "Mon, 01 Jan 2024 00:00:00 GMT",
    "2024",
    "2024-01",
    "1704067200",
    "12-34",
]
VALUE = (
    st.sampled_from([None, True, False, 0, 1, -1, 2, 1990, 2**53, 0.0, 1.0, 0.5, -2.5, 1e300, 1e-300])
    | st.sampled_from(["", "1", "1.0", "True", "true", "x", "Straße", "x" * 700, *DATES])
    | st.integers(-3, 3)
)
LEAF = VALUE | st.lists(VALUE | st.lists(VALUE, max_size=2) | st.just({"c": 1}), max_size=3)
NAMES = st.sampled_from(["a", "b", "odd name", "ключ", "x[0]", "c"])
METADATA = st.dictionaries(NAMES, LEAF | st.dictionaries(NAMES, LEAF, max_size=2), max_size=4)
FIELD = st.sampled_from(["a", "b", "odd name", "ключ.a", "a.b", "b.c", "x[0]", "none", "a[]", "a[].c"]).map(
    "metadata.{}".format
)
ASKED = st.sampled_from([True, False, 0, 1, -1, 2, 1990, 2**53, "", "1", "True", "x", "Straße", "x" * 700, *DATES])
NUMBER = st.sampled_from([-2.5, -1, 0, 0.5, 1, 2, 1990.5, 1e299])
DATE = st.sampled_from(
    ["0001-01-01T00:00:00Z", "2023-12-31T23:30:00Z", "2024-01-01", "2024-01-01T12:30:00Z", "2030-01-01"]
)


def ranges(kind: Any, bound: st.SearchStrategy[Any]) -> st.SearchStrategy[Condition]:
    one = st.dictionaries(st.sampled_from(["gte", "gt", "lte", "lt"]), bound, min_size=1, max_size=2)
    return st.builds(lambda field, bounds: kind(field, **bounds), FIELD, one)


SIMPLE = (
    st.builds(Match, FIELD, st.lists(ASKED, max_size=3).map(tuple)) | ranges(Range, NUMBER) | ranges(DateRange, DATE)
)
CONDITION: st.SearchStrategy[Condition] = st.recursive(
    SIMPLE,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(AllOf, st.lists(inner, min_size=1, max_size=2).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=2).map(tuple))
    ),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(METADATA, min_size=1, max_size=12),
    asked=st.lists(CONDITION, min_size=1, max_size=8),
    as_before=st.booleans(),
)
def test_a_filter_keeps_what_reading_metadata_keeps(
    engine: Engine, documents: list[Any], asked: list[Condition], as_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of new points, of a mixture with those of older versions, and of all once these have been filled."""
    monkeypatch.setattr("spanstream.store.ranged.WORTH", 1)
    owner, store = uuid.uuid4().hex, opened(engine)
    if as_before:
        write_as_before(engine, documents[::2], owner)
        write_as_before(engine, documents[::2], owner)
    write(store, documents, owner)
    expected = [engine.count(HEADS, read(where, owner)) for where in asked]
    assert [store.count(Scope(owner), where) for where in asked] == expected
    while store.maintain():
        pass
    assert engine.count(HEADS, AllOf((tenant(Scope(owner)), unknown()))) == 0  # type: ignore[arg-type]
    assert [store.count(Scope(owner), where) for where in asked] == expected
    engine.write(HEADS, [Delete(tenant(Scope(owner)))])  # the next example would be slower


# --- Points of older versions ----------------------------------------------------------------------------------------

WORDS = [{"a": "x"}, {"a": ["x", "y"], "n": 1}, {"a": "y", "n": 2}]


def test_points_without_facts_are_found_and_filled(engine: Engine) -> None:
    store = opened(engine)
    write_as_before(engine, WORDS)
    where = Match("metadata.a", ("x",))
    assert store.count(SCOPE, where) == 2
    assert store.maintain()
    assert engine.count(HEADS, unknown()) == 0
    assert store.count(SCOPE, where) == 2
    for record in engine.scroll(HEADS, tenant(SCOPE)):
        assert {name: record.payload.get(name) for name in facts_payload(record.payload["metadata"])} == facts_payload(
            WORDS[int(record.payload["id"])]
        )
    assert not store.maintain()


def test_a_document_of_too_many_facts_is_judged_by_its_metadata(engine: Engine) -> None:
    store = opened(engine)
    write(store, [{"a": [f"v{n}" for n in range(2 * MAX_FACTS)], "n": 5, "on": "2024-01-01"}, {"a": "v3"}])
    assert kept(store, 2, Match("metadata.a", ("v3",))) == {"0", "1"}
    assert kept(store, 2, Match("metadata.a", ("v999",))) == set()
    assert kept(store, 2, Range("metadata.n", gt=4)) == {"0"}
    assert kept(store, 2, DateRange("metadata.on", gte="2024-01-01")) == {"0"}
    assert kept(store, 2, Not(Match("metadata.a", ("v3",)))) == set()
    assert not store.maintain()


def test_a_point_by_which_another_process_tries_out_a_server_is_no_document(engine: Engine) -> None:
    store = opened(engine)
    engine.write(HEADS, [Upsert(Point(str(uuid.uuid4()), {"version": 2}, {}))])
    while store.maintain():
        pass
    assert store.count(SCOPE) == 0


class Overtaken(EdgeEngine):
    """A head is written anew between the reading of old ones and the writing of their facts."""

    newer: Operation | None = None

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        newer, self.newer = self.newer, None
        if newer is not None:
            super().write(HEADS, [newer])
        super().write(collection, operations)


@pytest.mark.parametrize("with_facts", [True, False])
def test_filling_leaves_a_head_alone_that_was_written_anew_meanwhile(tmp_path: Path, with_facts: bool) -> None:
    """By this version, or by an older one that still runs."""
    engine = Overtaken(tmp_path)
    store = opened(engine)
    payload = head_payload(head(key("0"), metadata={"a": "old"}))
    newer = head_payload(head(key("0"), 2, content_hash=b"2" * 32, metadata={"a": "new"}))
    id = str(uuid.uuid4())
    engine.write(HEADS, [Upsert(Point(id, {name: payload[name] for name in payload if name != "facts"}, {}))])
    engine.newer = Upsert(Point(id, {name: newer[name] for name in newer if with_facts or name != "facts"}, {}))
    while store.maintain():
        pass
    assert (store.count(SCOPE, Match("metadata.a", ("new",))), store.count(SCOPE, Match("metadata.a", ("old",)))) == (
        1,
        0,
    )
    store.close()


def test_a_folder_of_an_older_version_gets_its_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.delitem(INDEXES[HEADS], "facts")
        engine = EdgeEngine(tmp_path)
        store = opened(engine)
        write_as_before(engine, WORDS)
        assert "facts" not in engine.indexed(HEADS)
        store.close()
    engine = EdgeEngine(tmp_path)
    store = opened(engine)
    assert engine.indexed(HEADS) == set(INDEXES[HEADS])
    assert store.count(SCOPE, Match("metadata.a", ("y",))) == 2
    store.close()


# --- Indexes of fields that are bounded ------------------------------------------------------------------------------


def ranged(engine: Engine) -> set[str]:
    return engine.indexed(HEADS) - INDEXES[HEADS].keys()


def test_a_field_gets_an_index_when_it_is_bounded_and_enough_points_have_it(
    edge: EdgeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanstream.store.ranged.WORTH", 3)
    store = opened(edge)
    write(
        store, [{"n": n, "few": n, "on": "2024-01-01"} if n < 2 else {"n": n, "on": f"2024-01-0{n}"} for n in range(4)]
    )
    write(store, [{"few": n} for n in range(4)], "beta")
    assert store.count(SCOPE, Match("metadata.n", (1,))) == 1
    assert ranged(edge) == set()
    assert store.count(SCOPE, Range("metadata.few", gt=0)) == 1
    assert store.count(SCOPE, Range("metadata.on", gt=0)) == 0
    assert ranged(edge) == set()  # of this tenant two have numbers there, and none has any in `on`
    assert store.count(SCOPE, Not(AnyOf((Range("metadata.n", gte=3), DateRange("metadata.on", lt="2024-01-02"))))) == 1
    assert ranged(edge) == {"numbers.n", "dates.on"}
    assert store.count(SCOPE, Range("metadata.n", gte=3)) == 1
    store.close()
    store = opened(edge := EdgeEngine(tmp_path))
    assert ranged(edge) == {"numbers.n", "dates.on"}
    assert store.count(SCOPE, Range("metadata.n", gte=3)) == 1
    store.close()


def test_there_are_at_most_so_many_indexes(edge: EdgeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanstream.store.ranged.WORTH", 1)
    monkeypatch.setattr("spanstream.store.ranged.MAX_INDEXES", 2)
    store = opened(edge)
    write(store, [{"a": {"odd name": 1}, "b": 2, "c": 3}])
    for name in ("a.odd name", "b", "c"):
        assert store.count(SCOPE, Range(f"metadata.{name}", gte=1)) == 1
    assert ranged(edge) == {'numbers."a.odd name"', "numbers.b"}
