from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest

from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Fatal, Retry
from spanstream.events.ids import Key
from spanstream.indexer import opening as opening_module
from spanstream.indexer.holding import Holding
from spanstream.indexer.opening import Opening
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreCorrupt, StoreRejected, StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.points import State
from spanstream.store.store import Store
from spanstream.store.switching import WRITERS_PATIENCE_SECONDS, WRITERS_SEEN_SECONDS, Move, Switching
from tests.fixtures.store import DIMENSION, head


class Closed:
    """A store that is not opened: it raises `error` instead."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def replaced(self, generation: str) -> None:
        return None

    def open(self, *given: object) -> None:
        raise self._error


def filled() -> MemoryStore:
    """Its live generation holds a document."""
    store = MemoryStore()
    opened(store, HashEncoder(DIMENSION), "rules@1")
    store.flip_heads([head(Key("acme", "wiki", "d"))])
    return store


def opened(store: Store, encoder: HashEncoder, segmenter: str, replaces: str = "") -> str:
    opening = Opening(store, encoder, segmenter, None, 1.0, threading.Lock(), replaces)
    opening([])
    assert opening.done
    return next(name for name, live in store.generations().items() if live)


def test_an_index_with_documents_is_not_replaced_by_one_of_another_release_unless_that_is_said() -> None:
    store = filled()
    before = store.kept()
    for encoder, segmenter in ((HashEncoder(DIMENSION), "rules@2"), (HashEncoder(8), "rules@1")):
        for replaces in ("", "hash-8-8-rules-1"):
            with pytest.raises(Fatal, match=f"(?s)1 documents in generation {before[0].name}.*migrate apply"):
                opened(store, encoder, segmenter, replaces)
    assert store.kept() == before
    assert opened(store, HashEncoder(DIMENSION), "rules@1") == before[0].name
    assert opened(store, HashEncoder(8), "rules@1", replaces=before[0].name) != before[0].name


def test_an_index_without_documents_is_no_obstacle() -> None:
    store = filled()
    store.flip_heads([head(Key("acme", "wiki", "d"), 2, state=State.DELETED)])
    assert "rules-2" in opened(store, HashEncoder(DIMENSION), "rules@2")


def own(home: MemoryStore, encoder: HashEncoder) -> tuple[Opening, Store]:
    """As an indexer in a process of its own."""
    store = home.beside()
    return Opening(store, encoder, "rules@1", None, 1.0, threading.Lock(), home=home), store


def test_an_indexer_of_its_own_makes_its_generation_the_live_one_and_takes_no_other_ones_place() -> None:
    home = MemoryStore()
    opening, store = own(home, HashEncoder(DIMENSION))
    opening([])
    live = home.live()
    assert live is not None
    store.flip_heads([head(Key("acme", "wiki", "d"))])
    with pytest.raises(Fatal, match="1 documents"):
        own(home, HashEncoder(8))[0]([])
    assert home.live() == live


def test_an_indexer_goes_on_with_what_the_index_is_moved_away_from_until_that_is_given_up() -> None:
    home = filled()
    old = home.live()
    assert old is not None
    other = home.beside()
    other.open("next", 8, Compression.NONE)
    other.flip_heads([head(Key("acme", "wiki", "d"))])
    home.make_live("next")
    switching = Switching(other)
    switching.begin()
    with pytest.raises(Fatal):
        own(home, HashEncoder(DIMENSION))[0]([])
    switching.write({}, Move(old, "next"))
    opening, store = own(home, HashEncoder(DIMENSION))
    opening([])
    assert (home.live(), len(store.heads([Key("acme", "wiki", "d")]))) == ("next", 1)
    switching.write({}, Move(old, "next", ended=True))
    with pytest.raises(Fatal):
        own(home, HashEncoder(DIMENSION))[0]([])


def test_while_it_is_held_nothing_begins_and_a_hold_that_is_left_behind_ends() -> None:
    home, now = filled(), 0.0
    live = home.live()
    assert live is not None
    switching = Switching(home, sleep=lambda _: None)
    switching.begin()
    holding = Holding(lambda: now)
    holding(home, live)
    with switching.writers():
        holding(home, live)  # what it saw still counts
        now += WRITERS_SEEN_SECONDS
        with pytest.raises(Retry, match="being switched"):
            holding(home, live)
        now += WRITERS_PATIENCE_SECONDS
        holding(home, live)
    holding(home, live)


def test_only_the_live_generation_is_written_or_the_one_that_the_index_is_moved_away_from() -> None:
    home = filled()
    old = home.live()
    assert old is not None
    other = home.beside()
    other.open("next", 8, Compression.NONE)
    switching = Switching(other)
    switching.begin()

    def written() -> list[str]:
        found = []
        for generation in (old, "next"):
            with suppress(Retry):
                Holding()(other, generation)
                found.append(generation)
        return found

    assert written() == [old]
    for live in (old, "next"):
        home.make_live(live)
        switching.write({}, Move(old, "next"))
        assert written() == [old]  # who is moved to another encoder too early waits, and there is a way back
    switching.write({}, Move(old, "next", ended=True))
    assert written() == []  # what the new one lacks of the old one the process brings that moves it, and nobody else
    switching.write(None, None)
    assert written() == ["next"]


@pytest.mark.parametrize("ended", [False, True])
def test_one_that_waits_for_the_end_of_a_move_says_so_until_that_is_over(
    ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "LOOK_SECONDS", 0.01)
    home = filled()
    old = home.live()
    assert old is not None
    opening, store = own(home, HashEncoder(8))
    new = Generation("hash-8", 8, "rules@1").name
    store.open(new, 8, Compression.NONE)
    home.make_live(new)
    switching = Switching(store)
    switching.begin()
    switching.write({}, Move(old, new, ended))
    stop = threading.Event()
    thread = threading.Thread(target=opening.run, args=(stop,))
    thread.start()
    try:
        until(lambda: "has to end first" in " ".join(opening.unready()))
        with pytest.raises(Retry, match="has to end first"):
            opening([])
        switching.write(None, None)
        until(lambda: not opening.unready())
        opening([])
    finally:
        stop.set()
        thread.join()


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StoreUnavailable("away"), Retry),
        (StoreRejected("another size"), Fatal),
        (StoreCorrupt("damaged"), Fatal),
    ],
)
def test_an_index_that_does_not_open_is_no_records_fault(error: Exception, raised: type[Exception]) -> None:
    opening = Opening(cast(Store, Closed(error)), HashEncoder(8), "rules@1", None, 1.0, threading.Lock())
    with pytest.raises(raised, match=str(error)):
        opening([])
    assert not opening.done
