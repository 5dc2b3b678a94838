"""What stands for a Qdrant server: our adapter gets from it over HTTP what the store's contract says."""

from __future__ import annotations

import pytest

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.opening import open_store
from spanstream.store.queries import Dense, Lexical, Query, Scope, Spans
from tests.fixtures.store import DIMENSION, head, passage
from tests.rehearsal.conftest import STORE_KEY

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
KEY = Key("acme", "wiki", "d")
GENERATION = "model@1+rules@2"


def test_two_processes_share_one_index_and_the_later_version_wins(qdrant: str) -> None:
    made = passage(KEY, version=2)
    assert made.dense is not None
    assert made.spans is not None
    assert made.lexical is not None
    stores = [open_store(f"http://{qdrant}", STORE_KEY) for _ in range(2)]
    try:
        for store in stores:
            store.open(GENERATION, DIMENSION, Compression.NONE)
        one, other = stores
        one.upsert_passages([made])
        one.flip_heads([head(KEY, 2)])
        assert other.flip_heads([head(KEY, 1)]) == one.flip_heads([head(KEY, 1)])
        assert other.heads([KEY])[KEY].version == 2
        legs = [Dense(made.dense), Spans(made.spans[0]), Lexical(made.lexical)]
        found = other.search([Query(leg, Scope(KEY.tenant), 5) for leg in legs])
        assert [[hit.id for hit in hits] for hits in found] == [[made.id]] * 3
        assert other.facets(Scope(KEY.tenant), {"source": 5})["source"] == [("wiki", 1)]
    finally:
        for store in stores:
            store.close()


def test_what_was_deleted_many_times_over_is_gone_and_what_is_there_is_found_as_before(qdrant: str) -> None:
    kept = passage(KEY, version=1)
    assert kept.dense is not None
    assert kept.lexical is not None
    assert kept.spans is not None
    store = open_store(f"http://{qdrant}", STORE_KEY)
    try:
        store.open(GENERATION, DIMENSION, Compression.NONE)
        store.upsert_passages([kept])
        store.flip_heads([head(KEY, 1)])
        legs = [Dense(kept.dense), Spans(kept.spans[0]), Lexical(kept.lexical)]
        before = store.search([Query(leg, Scope(KEY.tenant), 5) for leg in legs])
        for turn in range(3):
            others = [Key("acme", "wiki", f"{turn}-{number}") for number in range(200)]
            store.upsert_passages([passage(each, version=1) for each in others])
            store.delete_stale([head(each, 2) for each in others])
        after = store.search([Query(leg, Scope(KEY.tenant), 5) for leg in legs])
        assert [[hit.id for hit in hits] for hits in after] == [[kept.id]] * 3
        assert [[round(hit.score, 4) for hit in hits] for hits in after] == [
            [round(hit.score, 4) for hit in hits] for hits in before
        ]
    finally:
        store.close()
