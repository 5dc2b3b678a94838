"""The switch of services in processes of their own, over thousands of interleavings: whoever has seen something finds it again.

Contents are positions in the log: a generation shows all up to one. Nobody sleeps: time is what the actors say.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from random import Random

import pytest

from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Retry
from spanstream.gateway.announcing import Announcing
from spanstream.gateway.following import LOOK_SECONDS, WAIT_SECONDS, Following
from spanstream.indexer.holding import Holding
from spanstream.standalone.migration.course import SWITCH_SECONDS
from spanstream.store import switching
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.presence import Presence
from spanstream.store.switching import Move, Superseded, Switching

OLD, NEXT = HashEncoder(4), HashEncoder(8)
SEGMENTER = "rules@1"
SEEDS = 150
SECONDS = 60.0
Actor = Iterator[float]  # seconds until its next step


def generation(encoder: HashEncoder) -> Generation:
    return Generation(encoder.info().release, encoder.info().dimension, SEGMENTER)


class World:
    """Two indexers of the old generation, one consumer that fills the new one, two gateways, and who moves between them."""

    def __init__(self, seed: int) -> None:
        self.random, self.now = Random(seed), 1000.0
        self.home = MemoryStore()
        for encoder in (NEXT, OLD):
            of = generation(encoder)
            self.home.open(of.name, of.dimension, Compression.NONE)
        self.end = 0  # of the log
        self.shown = {generation(each).name: 0 for each in (OLD, NEXT)}
        self.wrong: list[str] = []
        self.seen = 0  # by anyone whose search has been answered
        self.switches = self.answers = 0
        self.deaths, self.superseded = 0.1, 0
        self.left_behind: list[object] = []
        self.actors: list[tuple[float, int, Actor]] = []
        for actor in [
            self.write(),
            self.index(),
            self.index(),
            *self.gateway(),
            *self.gateway(),
            *self.gateway_of_before(),
            self.move(),
            self.rival(),
        ]:
            self.actors.append((self.now, len(self.actors), actor))

    def clock(self) -> float:
        return self.now

    def pause(self, usual: float) -> float:
        """About so long; sometimes a process stands still."""
        return self.random.uniform(1.0, 5.0) if self.random.random() < 0.05 else usual * self.random.random()

    def run(self) -> None:
        end = self.now + SECONDS
        while self.now < end:
            self.actors.sort(key=lambda each: each[0])
            self.now, number, actor = self.actors.pop(0)
            if (pause := next(actor, None)) is not None:
                self.actors.append((self.now + pause, number, actor))

    def write(self) -> Actor:
        while True:
            self.end += 1
            yield self.random.random() * 0.2

    def index(self) -> Actor:
        holding, old = Holding(self.clock), generation(OLD).name
        while True:
            read = self.end
            yield self.pause(0.1)
            try:
                holding(self.home, old)
            except Retry as wait:
                yield wait.after
                continue
            yield self.pause(0.3)
            self.shown[old] = max(self.shown[old], read)

    def fill(self, mover: Mover) -> Actor:
        new = generation(NEXT).name
        while mover.lives:
            if mover.filling:
                read = self.end
                try:
                    mover.switching.ours()
                except Superseded:
                    return
                yield self.pause(0.2)
                if mover.lives:
                    self.shown[new] = max(self.shown[new], min(read, self.shown[new] + 10))
            yield self.pause(0.5)

    def gateway_of_before(self) -> list[Actor]:
        """It knows of no next release and looks at no note. It ends once another one has taken its place."""
        old = generation(OLD)
        announcing = Announcing(self.home, lambda: old, None, self.clock)
        begin = self.random.choice([0.0, self.random.random() * SECONDS / 2])
        end = self.now + begin + self.random.random() * SECONDS / 2

        def announce() -> Actor:
            yield begin
            while self.home.live() != old.name:  # else its index is not opened
                yield self.pause(1.0)
            yield self.pause(0.5)
            while self.now < end:
                announcing.look()
                yield self.pause(1.0)
            if self.random.random() < 0.8:  # else it was killed
                announcing.end()

        def search() -> Actor:
            while self.now < end:
                if announcing.unready():
                    yield 0.05
                    continue
                before = self.seen
                yield 0.2 * self.random.random()
                if self.shown[old.name] < before:
                    self.wrong.append(f"a gateway of before showed {self.shown[old.name]} after {before}")
                self.seen = max(self.seen, self.shown[old.name])

        return [announce(), search()]

    def gateway(self) -> list[Actor]:
        following = Following(self.home, lambda: generation(OLD), lambda: NEXT, SEGMENTER, None, self.clock, wait=0.0)

        presence = Presence(self.clock)

        def look() -> Actor:
            while True:
                following.look_ahead()
                following.look()
                presence.tell(self.home, [generation(OLD).name, generation(NEXT).name])
                yield LOOK_SECONDS + self.pause(0.1)

        def search() -> Actor:
            while True:
                try:
                    before, answering = self.seen, following()
                except StoreUnavailable:
                    yield 0.05
                    continue
                name = (answering.generation if answering else generation(OLD)).name
                yield 0.2 * self.random.random()  # under way
                found = self.shown[name]
                self.answers += 1
                if found < before:
                    self.wrong.append(f"{name} showed {found} after {before}")
                self.seen = max(self.seen, found)
                yield 0.05 * self.random.random()

        return [look(), search(), search()]

    def rival(self) -> Actor:
        """Who moves it is begun a second time, while the first one is still at it."""
        yield self.random.random() * SECONDS
        yield from self.move()

    def move(self) -> Actor:
        while True:
            mover = Mover(self)
            self.actors.append((self.now, len(self.actors), self._switch(mover)))
            while mover.lives:
                yield 1.0
            if mover.superseded:
                self.superseded += 1
                return
            yield self.random.random() * 15  # until it is started again

    def _switch(self, mover: Mover) -> Actor:
        try:
            yield from self._switches(mover)
        except Superseded:
            mover.superseded = True
        except _Killed:
            pass
        mover.lives = False

    def _switches(self, mover: Mover) -> Actor:
        old, new, moving = generation(OLD).name, generation(NEXT).name, mover.switching
        moving.begin()
        moving.alone()
        yield mover.waited()
        moving.write({}, Move(old, new))
        self.actors.append((self.now, len(self.actors), self.fill(mover)))
        while True:
            yield self.random.random() * 3
            target = old if self.home.live() == new else new
            mover.filling = target == new
            if moving.unable(target):
                continue
            writers = moving.writers() if target == new else nullcontext()
            searches = moving.searches()
            self.left_behind += [writers, searches]  # whoever is killed lets go of nothing
            try:
                writers.__enter__()
                yield mover.waited()
                end = self.end
                while self.shown[target] < end:
                    yield 0.05
                searches.__enter__()
                yield mover.waited()
                if self.random.random() < self.deaths:
                    raise _Killed
                if moving.unable(target):
                    raise StoreUnavailable("a gateway that cannot answer has come")
                self.home.make_live(target)
                self.switches += 1
                if self.random.random() < self.deaths:
                    raise _Killed
                searches.__exit__(None, None, None)
                writers.__exit__(None, None, None)
            except StoreUnavailable:
                searches.__exit__(None, None, None)
                writers.__exit__(None, None, None)
            mover.filling = True


class Mover:
    """A process that moves the index."""

    def __init__(self, world: World) -> None:
        self.lives, self.filling, self.superseded = True, True, False
        self._waits = 0.0
        self.switching = Switching(world.home, world.clock, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self._waits += seconds

    def waited(self) -> float:
        """What it has slept for since it was asked."""
        waits, self._waits = self._waits, 0.0
        return waits


class _Killed(Exception):
    """Of whoever moves."""


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was left behind lets go when it is collected, and says how late."""
    monkeypatch.setattr(switching.log, "disabled", True)
    yield
    gc.collect()


def test_whoever_has_seen_something_finds_it_again_whatever_is_live() -> None:
    switches = answers = superseded = 0
    for seed in range(SEEDS):
        world = World(seed)
        world.run()
        assert world.wrong == [], f"seed {seed}"
        switches, answers = switches + world.switches, answers + world.answers
        superseded += world.superseded
    assert switches > 1.5 * SEEDS
    assert answers > 200 * SEEDS
    assert superseded > SEEDS / 3


@pytest.mark.parametrize(
    "hasty",
    [
        lambda patch: patch.setattr(switching, "WRITERS_WAIT_SECONDS", 0.0),
        lambda patch: patch.setattr(switching, "SEARCHES_WAIT_SECONDS", 0.0),
        lambda patch: patch.setattr("spanstream.gateway.following.SEARCHES_SEEN_SECONDS", 60.0),
        lambda patch: patch.setattr("spanstream.indexer.holding.WRITERS_SEEN_SECONDS", 60.0),
        lambda patch: patch.setattr(Switching, "unable", lambda self, generation: []),
        lambda patch: patch.setattr(Announcing, "_late", lambda self: ""),
    ],
)
def test_without_one_of_its_waits_somebody_would_not(
    monkeypatch: pytest.MonkeyPatch, hasty: Callable[[pytest.MonkeyPatch], None]
) -> None:
    hasty(monkeypatch)
    for seed in range(10 * SEEDS):
        world = World(seed)
        world.run()
        if world.wrong:
            return
    pytest.fail("nobody noticed")


def test_who_switches_waits_longer_than_others_go_by_what_they_saw_and_is_done_before_they_lose_patience() -> None:
    assert switching.WRITERS_SEEN_SECONDS < switching.WRITERS_WAIT_SECONDS
    longest = switching.WRITERS_WAIT_SECONDS + SWITCH_SECONDS + switching.SEARCHES_WAIT_SECONDS
    assert longest <= switching.WRITERS_MOST_SECONDS < switching.ALONE_SECONDS
    assert switching.WRITERS_MOST_SECONDS < switching.WRITERS_PATIENCE_SECONDS
    assert switching.SEARCHES_SEEN_SECONDS < switching.SEARCHES_WAIT_SECONDS < switching.SEARCHES_MOST_SECONDS
    assert switching.SEARCHES_MOST_SECONDS < switching.SEARCHES_PATIENCE_SECONDS < WAIT_SECONDS
