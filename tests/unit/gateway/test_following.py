"""What a gateway with two encoders answers from: what is live, as long as it knows that it is."""

from __future__ import annotations

import pytest

from spanstream.encoder.encoder import EncoderInfo
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.events.segmenter import PASSAGES
from spanstream.gateway.following import Following, Moving
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.switching import (
    SEARCHES_PATIENCE_SECONDS,
    SEARCHES_SEEN_SECONDS,
    WRITERS_SEEN_SECONDS,
    Move,
    Switching,
)


class Next(HashEncoder):
    """May be away."""

    away = False

    def info(self) -> EncoderInfo:
        if self.away:
            raise EncoderUnavailable("away")
        return super().info()


class World:
    def __init__(self, wait: float = 0.01) -> None:
        self.now = 0.0
        self.home, self.next = MemoryStore(), Next(32)
        self.old, self.new = (
            Generation(each.info().release, each.info().dimension, PASSAGES) for each in (HashEncoder(16), self.next)
        )
        self.open(self.old)
        self.following = Following(
            self.home, lambda: self.old, lambda: self.next, PASSAGES, None, lambda: self.now, wait
        )

    def look(self) -> None:
        self.following.look_ahead()
        self.following.look()

    def open(self, generation: Generation) -> None:
        self.home.open(generation.name, generation.dimension, Compression.NONE)

    def name(self) -> str:
        shown = self.following()
        return (shown.generation if shown else self.old).name


@pytest.fixture
def world() -> World:
    return World()


def test_it_answers_from_what_is_live(world: World) -> None:
    with pytest.raises(StoreUnavailable, match="not known yet"):
        world.following()
    world.look()
    assert (world.name(), world.following.unready()) == (world.old.name, [])
    world.open(world.new)
    world.home.make_live(world.old.name)
    world.look()
    assert world.name() == world.old.name
    for live in (world.new.name, world.old.name, world.new.name):
        world.home.make_live(live)
        world.look()
        assert world.name() == live
    shown = world.following()
    assert shown is not None
    assert (shown.encoder, shown.generation) == (world.next, world.new)


def test_what_it_saw_too_long_ago_it_does_not_answer_from(world: World) -> None:
    world.look()
    world.now += SEARCHES_SEEN_SECONDS
    with pytest.raises(StoreUnavailable):
        world.following()
    world.now += 0.01
    (why,) = world.following.unready()
    assert "the store takes longer than 1.5 s" in why  # nothing of before
    world.look()
    assert world.name() == world.old.name


def test_while_searches_are_held_nothing_answers_and_a_hold_that_is_left_behind_ends(world: World) -> None:
    switching = Switching(world.home, sleep=lambda _: None)
    switching.begin()
    with switching.writers():
        world.look()
        assert world.name() == world.old.name
    held = switching.searches()
    held.__enter__()
    for _ in range(3):
        world.look()
        with pytest.raises(StoreUnavailable, match="being switched"):
            world.following()
        world.now += SEARCHES_PATIENCE_SECONDS / 3
    world.look()
    assert world.name() == world.old.name
    held.__exit__(None, None, None)


def test_the_next_encoder_may_be_away_until_it_is_needed(world: World) -> None:
    world.next.away = True
    world.look()
    assert world.name() == world.old.name
    world.open(world.new)
    world.look()
    world.now += SEARCHES_SEEN_SECONDS
    with pytest.raises(StoreUnavailable, match="neither"):
        world.following()
    world.next.away = False
    world.look()
    assert world.name() == world.new.name


class Another(HashEncoder):
    """What answers at an address by now; whoever has asked before keeps what was there then."""

    now = 32

    def __init__(self) -> None:
        super().__init__(self.now)
        self.closed = False

    def unready(self) -> list[str]:
        return [] if self.info().dimension == self.now else ["it is another one now"]

    def close(self) -> None:
        self.closed = True


def test_a_next_release_that_was_given_up_is_forgotten_and_the_one_in_its_place_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Another] = []

    def opened() -> Another:
        asked.append(Another())
        return asked[-1]

    following = Following(world.home, lambda: world.old, opened, PASSAGES, None, lambda: world.now, 0.01)
    world.open(world.new)
    world.home.make_live(world.old.name)
    following.look_ahead()
    assert following.other is not None
    world.home.drop(world.new.name)
    monkeypatch.setattr(Another, "now", 24)
    info = HashEncoder(24).info()
    third = Generation(info.release, info.dimension, PASSAGES)
    following.look_ahead()
    following.look_ahead()
    assert (following.other, [each.closed for each in asked]) == (None, [True, False])
    world.open(third)
    following.look_ahead()
    following.look()
    shown = following()
    assert shown is not None
    assert (following.other, shown.generation, shown.encoder) == (shown, third, asked[-1])


def test_a_generation_that_neither_encoder_makes_answers_nothing(world: World) -> None:
    world.open(Generation("third", 8, PASSAGES))
    world.look()
    with pytest.raises(StoreUnavailable, match="is live, which neither ENCODER_URL nor NEXT_ENCODER_URL makes"):
        world.following()


def test_without_an_index_it_waits_for_one() -> None:
    following = Following(MemoryStore(), lambda: Generation("a", 4, PASSAGES), lambda: Next(32), PASSAGES, None)
    following.look()
    assert "nothing was opened here yet" in following.unready()[0]


def test_a_switch_is_no_reason_to_be_unready() -> None:
    world = World(wait=60.0)
    assert world.following.unready()
    world.look()
    switching = Switching(world.home, sleep=lambda _: None)
    switching.begin()
    with switching.searches():
        world.look()
        assert world.following.unready() == []
    world.now += SEARCHES_SEEN_SECONDS
    assert world.following.unready() == []
    world.now += 60.0
    assert world.following.unready()


def test_it_is_known_whether_the_index_is_being_moved() -> None:
    world = World()
    moving = Moving(lambda: world.home, lambda: world.now)
    switching = Switching(world.home)
    switching.begin()
    assert not moving()
    switching.write({}, Move(world.old.name, world.new.name))
    assert not moving()  # as it was a second ago
    world.now += WRITERS_SEEN_SECONDS
    assert moving()
    switching.write(None, None)
    world.now += WRITERS_SEEN_SECONDS
    assert not moving()
