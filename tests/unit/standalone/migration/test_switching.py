"""The switch of services in processes of their own, over thousands of interleavings: whoever has seen something finds it again.

Contents are positions in the log: a generation shows all up to one. Nobody sleeps: time is what the actors say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from random import Random

import pytest

from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Retry
from spanstream.gateway.following import LOOK_SECONDS, Following
from spanstream.indexer.holding import Holding
from spanstream.store import switching
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.switching import Switching

OLD, NEXT = HashEncoder(4), HashEncoder(8)
SEGMENTER = "rules@1"
SEEDS = 150
SECONDS = 40.0
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
        self.filling = True  # the consumer of the new one is not held
        self.wrong: list[str] = []
        self.seen = 0  # by anyone whose search has been answered
        self.switches = self.answers = 0
        self.deaths = 0.1
        self.left_behind: list[object] = []
        self.actors: list[tuple[float, int, Actor]] = []
        for actor in [
            self.write(),
            self.index(),
            self.index(),
            self.fill(),
            *self.gateway(),
            *self.gateway(),
            self.move(),
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
            self.actors.append((self.now + next(actor), number, actor))

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
                holding(self.home)
            except Retry as wait:
                yield wait.after
                continue
            yield self.pause(0.3)
            self.shown[old] = max(self.shown[old], read)

    def fill(self) -> Actor:
        new = generation(NEXT).name
        while True:
            if self.filling:
                self.shown[new] = min(self.end, self.shown[new] + 10)
            yield self.pause(0.5)

    def gateway(self) -> list[Actor]:
        following = Following(self.home, lambda: generation(OLD), NEXT, SEGMENTER, None, self.clock)

        def look() -> Actor:
            while True:
                following.look()
                yield LOOK_SECONDS + self.pause(0.1)

        def search() -> Actor:
            while True:
                if following.unready():
                    yield 0.05
                    continue
                before, answering = self.seen, following()
                name = (answering.generation if answering else generation(OLD)).name
                yield 0.2 * self.random.random()  # under way
                found = self.shown[name]
                self.answers += 1
                if found < before:
                    self.wrong.append(f"{name} showed {found} after {before}")
                self.seen = max(self.seen, found)
                yield 0.05 * self.random.random()

        return [look(), search(), search()]

    def move(self) -> Actor:
        waits = 0.0

        def sleep(seconds: float) -> None:
            nonlocal waits
            waits = seconds

        moving = Switching(self.home, self.clock, sleep)
        old, new = generation(OLD).name, generation(NEXT).name
        while True:
            yield self.random.random() * 3
            target = old if self.home.live() == new else new
            self.filling = target == new
            writers = moving.writers() if target == new else nullcontext()
            searches = moving.searches()
            try:
                writers.__enter__()
                yield waits
                end = self.end
                while self.shown[target] < end:
                    yield 0.05
                searches.__enter__()
                yield waits
                if self.random.random() < self.deaths:
                    raise _Killed
                self.home.make_live(target)
                self.switches += 1
                if self.random.random() < self.deaths:
                    raise _Killed
                searches.__exit__(None, None, None)
                writers.__exit__(None, None, None)
            except StoreUnavailable:  # it took too long
                writers.__exit__(None, None, None)
            except _Killed:  # nobody lets go
                self.left_behind += [writers, searches]
                self.filling = True
                yield self.random.random() * 15
                moving = Switching(self.home, self.clock, sleep)
                moving.begin()
            self.filling = True


class _Killed(Exception):
    """Of whoever moves."""


def test_whoever_has_seen_something_finds_it_again_whatever_is_live() -> None:
    switches = answers = 0
    for seed in range(SEEDS):
        world = World(seed)
        world.run()
        assert world.wrong == [], f"seed {seed}"
        switches, answers = switches + world.switches, answers + world.answers
    assert switches > 2 * SEEDS
    assert answers > 200 * SEEDS


@pytest.mark.parametrize(
    "hasty",
    [
        lambda patch: patch.setattr(switching, "WRITERS_WAIT_SECONDS", 0.0),
        lambda patch: patch.setattr(switching, "SEARCHES_WAIT_SECONDS", 0.0),
        lambda patch: patch.setattr("spanstream.gateway.following.SEARCHES_SEEN_SECONDS", 60.0),
        lambda patch: patch.setattr("spanstream.indexer.holding.WRITERS_SEEN_SECONDS", 60.0),
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
