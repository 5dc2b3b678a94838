"""Which gateways could not answer from what becomes live, by the clock of whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spanstream.events.segmenter import PASSAGES
from spanstream.gateway.announcing import Announcing
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.presence import BEAT_SECONDS, GATEWAY, GONE_SECONDS, Gateways, Presence
from spanstream.store.switching import HOLD, MOVE, Held, Switching, move

GENERATION = Generation("a", 4, PASSAGES)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.store = MemoryStore()
        self.store.open("a", 4, Compression.NONE)
        self.gateways = Gateways(self.clock)

    def clock(self) -> float:
        return self.now

    def unable(self, generation: str) -> int:
        return len(self.gateways.unable(self.store, generation))

    def notes(self) -> list[str]:
        return [each["beat"] for each in self.store.memos().all(GATEWAY)]


@pytest.fixture
def world() -> Iterator[World]:
    return World()


def test_each_says_what_it_can_answer_from(world: World) -> None:
    assert world.unable("b") == 0
    first, second = Presence(world.clock), Presence(world.clock)
    first.tell(world.store, ["a"])
    second.tell(world.store, ["a", "b"])
    assert [world.unable(each) for each in "abc"] == [0, 1, 2]
    first.tell(world.store, ["b", "a"])
    assert world.unable("b") == 0
    second.end(world.store)
    assert world.unable("c") == 1


def test_it_writes_again_only_now_and_then_or_what_is_new(world: World) -> None:
    presence = Presence(world.clock)
    presence.tell(world.store, ["a"])
    before = world.notes()
    world.now += BEAT_SECONDS - 0.1
    presence.tell(world.store, ["a"])
    assert world.notes() == before
    world.now += 0.1
    presence.tell(world.store, ["a"])
    assert world.notes() != before


def test_one_that_does_not_write_any_more_is_gone_and_one_that_was_only_frozen_comes_back(world: World) -> None:
    frozen, alive = Presence(world.clock), Presence(world.clock)
    frozen.tell(world.store, ["a"])
    while world.now < GONE_SECONDS:
        alive.tell(world.store, ["a", "b"])
        assert world.unable("b") == 1
        world.now += 1.0
    alive.tell(world.store, ["a", "b"])
    assert (world.unable("b"), len(world.notes())) == (0, 1)
    frozen.tell(world.store, ["a"])
    assert world.unable("b") == 1


@pytest.mark.parametrize("told", [{}, {"id": "1"}, {"id": "1", "who": "all of us"}, {"old": "a", "new": "b"}])
def test_a_note_of_another_version_is_waited_for(told: dict[str, str]) -> None:
    store = World().store
    store.memos().write(f"{GATEWAY}/1", told)
    with pytest.raises(StoreUnavailable, match="another version"):
        Gateways().unable(store, "a")
    for name in (MOVE, HOLD):
        store.memos().write(name, told)
    with pytest.raises(StoreUnavailable, match="another version"):
        move(store)
    with pytest.raises(StoreUnavailable, match="another version"):
        Held(1.0).look(store)


def test_a_gateway_is_ready_once_the_store_knows_of_it(world: World) -> None:
    world.store.open(GENERATION.name, 4, Compression.NONE)
    announcing = Announcing(world.store, lambda: GENERATION, None)
    assert announcing.unready()
    announcing.look()
    assert (announcing.unready(), world.unable(GENERATION.name), world.unable("b")) == ([], 0, 1)
    announcing.end()
    assert world.notes() == []


def test_a_gateway_that_looks_at_no_note_is_not_ready_where_it_may_have_come_too_late(world: World) -> None:
    world.store.open("b", 4, Compression.NONE)
    world.store.open(GENERATION.name, 4, Compression.NONE)
    switching = Switching(world.store, world.clock, lambda _: None)
    switching.begin()
    announcing = Announcing(world.store, lambda: GENERATION, None, world.clock)
    with switching.searches():
        announcing.look()
        assert announcing.unready() == ["the index is being switched to another release's"]
        world.store.make_live("b")
    announcing.look()
    assert "b is live, which ENCODER_URL does not make" in announcing.unready()
    world.store.make_live(GENERATION.name)
    announcing.look()
    assert announcing.unready() == []


def test_a_gateway_with_nothing_open_needs_not_be_waited_for() -> None:
    def own() -> Generation:
        raise StoreUnavailable("not yet")

    world = World()
    announcing = Announcing(world.store, own, None)
    announcing.look()
    assert (len(announcing.unready()), world.notes()) == (1, [])
    announcing.end()
