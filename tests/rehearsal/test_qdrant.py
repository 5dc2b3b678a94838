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
