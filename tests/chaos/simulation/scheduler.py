"""One thread, many actors: each runs until it reaches a place, where another may go on or something may break.

Actors are greenlets, so that the product's own code can stop between any two of its calls without knowing of it.
Without chance each actor goes on until its turn ends by itself, one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from greenlet import getcurrent, greenlet

TURN_SECONDS = 0.05  # of the pipeline's clock


class Crash(BaseException):
    """The process of this actor ends here. No Exception: nothing in the product may survive it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens where a place is reached for the `nth` time. `turns`: how long a pause, or a restart, takes.

    crash      the process dies before it does what it was about to
    pause      it stops for a while, and goes on as if nothing had been
    freeze     the same, and its group gives its partitions to others meanwhile
    lost       the call fails, and nothing was done
    unheard    it was done, and the caller is told that it failed
    power      its machine loses power; shares `kept` of what was not flushed survive, of documents and of passages
    rebalance  a consumer loses its partitions and joins again
    and what the place itself knows of
    """

    kind: str
    place: str
    nth: int
    turns: int = 0
    kept: tuple[float, ...] = ()

    def __str__(self) -> str:
        ordinal = {1: "1st", 2: "2nd", 3: "3rd"}.get(self.nth, f"{self.nth}th")
        turns = f", {self.turns} turns" if self.turns else ""
        kept = ", {:.0%} of documents and {:.0%} of passages survive".format(*self.kept) if self.kept else ""
        return f"{self.kind} at the {ordinal} «{self.place}»{turns}{kept}"


@dataclass(eq=False, slots=True)
class Actor:
    """Something that takes turns. `frozen` is told that its group gave it up."""

    name: str
    run: greenlet
    frozen: Callable[[], None]
    wakes: int = 0
    doomed: bool = False


@dataclass(eq=False)
class Scheduler:
    """`switching`: how likely it is that another actor goes on at a place, 0 to 1; who, is `chance`'s to say."""

    faults: Iterable[Fault]
    chance: Random
    switching: float
    actors: list[Actor] = field(default_factory=list)
    power_cut: Callable[[tuple[float, ...]], None] = lambda kept: None
    turn: int = 0
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hub = getcurrent()
        self._due = {(fault.place, fault.nth): fault for fault in self.faults}
        self._reached: Counter[str] = Counter()
        self._current: Actor | None = None
        self._last: Actor | None = None

    def spawn(self, name: str, life: Callable[[], None], frozen: Callable[[], None] = lambda: None) -> Actor:
        """Add an actor; it takes its first turn when it is chosen."""
        actor = Actor(name, greenlet(life, self._hub), frozen)
        self.actors.append(actor)
        return actor

    def run(self, done: Callable[[], bool], most_turns: int) -> bool:
        """Give turns until it is done; False: it was not within so many."""
        while not done():
            if self.turn >= most_turns:
                return False
            self._give(self._next())
        return True

    def end(self) -> None:
        """Let no actor go on."""
        for actor in self.actors:
            actor.run.throw()  # GreenletExit
        self.actors.clear()

    def now(self) -> float:
        """The pipeline's clock, in seconds."""
        return self.turn * TURN_SECONDS

    def reach(self, place: str) -> str | None:
        """The current actor is about to do what the place says. Returns the kind of a fault that is the place's own affair."""
        actor = self._current
        if actor is None:  # looked at from outside
            return None
        if actor.doomed:
            self._die(actor)
        self._reached[place] += 1
        fault = self._due.pop((place, self._reached[place]), None)
        if fault is None and self.switching and self.chance.random() < self.switching:
            self.rest()
        self.tell(f"{place}{f'  <-- {fault.kind}' if fault else ''}")
        if fault is None:
            return None
        if fault.kind == "power":
            self.power_cut(fault.kept)
        if fault.kind in ("crash", "power"):
            actor.doomed, actor.wakes = False, self.turn + fault.turns
            raise Crash
        if fault.kind in ("pause", "freeze"):
            if fault.kind == "freeze":
                actor.frozen()
            self.rest(fault.turns)
            self.tell(f"{place}, awake again")
            return None
        return fault.kind

    def rest(self, turns: int = 0) -> None:
        """End the current actor's turn; it goes on after so many others at the earliest."""
        actor = self._current
        assert actor is not None
        actor.wakes = max(actor.wakes, self.turn + turns)
        self._hub.switch()
        if actor.doomed:
            self._die(actor)

    def doom(self, actor: Actor) -> None:
        """Its process has died; it learns of it when it goes on, before it does anything."""
        actor.doomed, actor.wakes = True, self.turn

    def tell(self, what: str) -> None:
        """A line of the story."""
        name = self._current.name if self._current else "-"
        self.story.append(f"{self.turn:5d}  {name:12s} {what}")

    def _die(self, actor: Actor) -> None:
        actor.doomed = False
        raise Crash

    def _next(self) -> Actor | None:
        """In turn, or by chance where actors are switched; those that rest are passed over."""
        awake = [actor for actor in self.actors if actor.wakes <= self.turn and not actor.run.dead]
        if not awake:
            return None
        if self.switching:
            return self.chance.choice(awake)
        place = self.actors.index(self._last) if self._last in self.actors else -1
        return min(awake, key=lambda actor: (self.actors.index(actor) - place - 1) % len(self.actors))

    def _give(self, actor: Actor | None) -> None:
        self.turn += 1
        if actor is None:
            return
        self._last = self._current = actor
        try:
            actor.run.switch()
        finally:
            self._current = None
