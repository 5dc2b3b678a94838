"""Which generation a gateway opens, and what it leaves to the indexer."""

from __future__ import annotations

import threading
import time

import pytest

from spanstream.encoder.hashing import HashEncoder
from spanstream.events.ids import Key
from spanstream.gateway.index import Index
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation, opened
from spanstream.store.memory import MemoryStore
from tests.fixtures.store import DIMENSION, head

SECONDS = 60.0


def test_a_gateway_with_another_release_waits_until_the_indexer_has_replaced_the_index() -> None:
    store, new = MemoryStore(), HashEncoder(8)
    opened(store, HashEncoder(DIMENSION).info(), "rules@1", None)
    store.flip_heads([head(Key("acme", "wiki", "d"))])
    [before] = store.kept()
    stop, index = threading.Event(), Index(store, new, "rules@1", None)
    thread = threading.Thread(target=index.open, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS
        while "1 documents in generation" not in " ".join(index.unready()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StoreUnavailable, match="this start would show another one"):
            index()
        assert store.kept() == [before]
        opened(store, new.info(), "rules@1", None, replaces=before.name)
        thread.join(SECONDS)
        assert index().dimension == 8
    finally:
        stop.set()
        thread.join(SECONDS)


def test_a_gateway_of_its_own_makes_no_generation_and_makes_none_live() -> None:
    home = MemoryStore()
    opened(home, HashEncoder(DIMENSION).info(), "rules@1", None)
    live = home.live()
    stop, index = threading.Event(), Index(home.beside(), HashEncoder(8), "rules@1", None, home)
    thread = threading.Thread(target=index.open, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS
        while "no indexer has made" not in " ".join(index.unready()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert home.generations() == {live: True}
        home.beside().open(Generation("hash-8", 8, "rules@1").name, 8, Compression.NONE)
        thread.join(SECONDS)
        assert index().dimension == 8
        assert home.live() == live
    finally:
        stop.set()
        thread.join(SECONDS)
