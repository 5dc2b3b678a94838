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
from spanstream.store.engine import INDEXES, Collection, Engine, Operation, Point, Upsert
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
FIELD = st.sampled_from(["a", "b", "odd name", "ключ.a", "a.b", "b.c", "x[0]", "none", "a[]", "a[].c"]).map("metadata.{}".format)
ASKED = st.sampled_from([True, False, 0, 1, -1, 2, 1990, 2**53, "", "1", "True", "x", "Straße", "x" * 700, *DATES])
NUMBER = st.sampled_from([-2.5, -1, 0, 0.5, 1, 2, 1990.5, 1e299])
DATE = st.sampled_from(["-0100-01-01T00:00:00Z", "2023-12-31T23:30:00Z", "2024-01-01", "2024-01-01T12:30:00Z", "2030-01-01"])


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
