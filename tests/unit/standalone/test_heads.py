from __future__ import annotations

from typing import cast

import pytest

from spanstream.events.ids import Key
from spanstream.ingestor.heads import Caller, HeadsUnavailable
from spanstream.standalone.heads import StoreHeads
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.points import Failure, Head, State
from spanstream.store.store import Store
from tests.unit.indexer.stores import Faulty

CALLER = Caller("t")


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.open("g", 2, Compression.NONE)
    return made


def test_what_the_store_shows_is_known_until_something_newer_fails(store: MemoryStore) -> None:
    key = Key("t", "s", "a")
    store.flip_heads([Head(key, 3, State.LIVE, bytes(32), 3)])
    heads = StoreHeads(store)
    (known,) = heads.lookup(CALLER, "s", ["a", "b"]).values()
    assert (known.version, known.content_hash, known.live) == (3, bytes(32), True)
    assert heads.lookup(Caller("another"), "s", ["a"]) == {}
    store.record_failures([(key, Failure(4, "ingestor", "PARSE_FAILED", "", 1))])
    assert not heads.lookup(CALLER, "s", ["a"])["a"].live


def test_a_store_that_does_not_answer_is_told(store: MemoryStore) -> None:
    away = Faulty(store, at=0, error=StoreUnavailable("away"))
    with pytest.raises(HeadsUnavailable):
        StoreHeads(cast(Store, away)).lookup(CALLER, "s", ["a"])
