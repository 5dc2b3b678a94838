"""A discrete-event simulation of the pipeline and its autoscaling: documents wait, are worked on, and move on; pods come and go.

Events, in the order of their time: work (every `step`), looks of the autoscalers, pods that become ready. Documents are counted
whole and none is lost: what came is what is searchable and what waits. Equal seeds give equal runs.

A change of a group's members stops all of it for `stall_seconds`, which is more than cooperative rebalancing costs: there only
partitions that move stop. An encoder's replicas are shared by the embedder's consumers, each of which waits for its call.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tools.scaling.autoscaler import Autoscaler, Signal
from tools.scaling.policy import Policy

POLLED = 8  # documents of one call of the encoder: EMBEDDER_MAX_POLL_RECORDS


@dataclass(frozen=True, slots=True)
class Stage:
    """One consumer group. `rate`: documents a second of one consumer."""

    name: str
    policy: Policy
    rate: float
    members: int = 1  # consumers in a pod
    start_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Pool:
    """The encoder. `rate`: documents a second of one replica; `tokens`: of a document."""

    policy: Policy
    rate: float
    tokens: float
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """`arrivals`: documents a second at a time in seconds, until `until`; then all that waits is worked off."""

    name: str
    arrivals: Callable[[float], float]
    until: float
    stages: Sequence[Stage]
    encoder: Pool  # of the stage named `encoded`
    partitions: int
    encoded: str = "embedder"
    step: float = 1.0
    stall_seconds: float = 15.0
    most_seconds: float = 400 * 86_400.0  # after which it ends, whatever waits


@dataclass(slots=True)
class Sample:
    """What was to be seen at a look: of each stage lag in seconds and records, and pods of each deployable."""

    time: float
    lag_seconds: dict[str, float]
    waiting: dict[str, int]
    pods: dict[str, int]


@dataclass(slots=True)
class Run:
    """What came of a scenario. `fresh`: (seconds from accepted to searchable, documents)."""

    arrived: int = 0
    searchable: int = 0
    waiting: int = 0
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    fresh: dict[int, int] = field(default_factory=dict)
    pod_seconds: dict[str, float] = field(default_factory=dict)
    stalls: int = 0

    def freshness(self, share: float) -> float:
        """Seconds within which this share of documents was searchable, to a step."""
        wanted, seen = share * self.searchable, 0
        for seconds in sorted(self.fresh):
            seen += self.fresh[seconds]
            if seen >= wanted:
                return float(seconds)
        return 0.0


class _Fleet:
    """The pods of a deployable: those that work, those that start, and what they cost."""

    def __init__(self, policy: Policy, start_seconds: float) -> None:
        self.autoscaler = Autoscaler(policy)
        self.start_seconds = start_seconds
        self.ready, self.starting = policy.least, 0
        self.pod_seconds = 0.0

    @property
    def pods(self) -> int:
        return self.ready + self.starting

    def shrink(self, count: int) -> int:
        """Take `count` pods away, those that start first; how many of them worked."""
        idle = min(count, self.starting)
        self.starting -= idle
        self.ready -= count - idle
        return count - idle


class _Group(_Fleet):
    """A stage's consumers and what waits for them: (accepted, published, documents), oldest first."""

    def __init__(self, stage: Stage, partitions: int) -> None:
        super().__init__(stage.policy, stage.start_seconds)
        self.stage, self.partitions = stage, partitions
        self.queue: deque[tuple[float, float, int]] = deque()
        self.waiting = 0
        self.stalled_until = 0.0
        self.carry = 0.0  # of a document that is being worked on
        self.uncommitted = 0  # of the last step: offsets are committed once a second

    @property
    def members(self) -> int:
        return min(self.partitions, self.ready * self.stage.members)

    def add(self, accepted: float, now: float, count: int) -> None:
        self.queue.append((accepted, now, count))
        self.waiting += count

    def take(self, count: int) -> list[tuple[float, int]]:
        """(accepted, documents) of the oldest `count` that wait."""
        taken: list[tuple[float, int]] = []
        while count and self.queue:
            accepted, published, size = self.queue.popleft()
            part = min(size, count)
            if part < size:
                self.queue.appendleft((accepted, published, size - part))
            taken.append((accepted, part))
            count -= part
            self.waiting -= part
        return taken

    def lag(self, now: float) -> float:
        return now - self.queue[0][1] if self.queue else 0.0


def run(scenario: Scenario, seed: int = 0) -> Run:
    """Until everything that came is searchable and all autoscalers have seen it."""
    return _Simulation(scenario, Random(seed)).run()


class _Simulation:
    def __init__(self, scenario: Scenario, chance: Random) -> None:
        self.scenario, self.chance, self.found = scenario, chance, Run()
        self.groups = [_Group(stage, scenario.partitions) for stage in scenario.stages]
        self.encoder = _Fleet(scenario.encoder.policy, scenario.encoder.start_seconds)
        self.busy = 0.0  # share of the encoder's replicas, since the last look
        self.worked = 0.0
        self.arriving = 0.0  # of a document
        self.events: list[tuple[float, int, int, Callable[[float], None]]] = []
        self.number = 0

    def run(self) -> Run:
        scenario, found = self.scenario, self.found
        self._at(0.0, 1, self._work)
        self._at(0.0, 2, self._look)
        now = 0.0
        while self.events:
            now, _, _, act = heapq.heappop(self.events)
            if now > scenario.until and (self._done() or now > scenario.most_seconds):
                break
            act(now)
        found.seconds = now
        found.waiting = sum(group.waiting for group in self.groups)
        fleets = {group.stage.name: group for group in self.groups} | {"encoder": self.encoder}
        found.pod_seconds = {name: fleet.pod_seconds for name, fleet in fleets.items()}
        return found

    def _at(self, time: float, order: int, act: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, order, self.number, act))

    def _done(self) -> bool:
        return self.found.arrived == self.found.searchable

    def _work(self, now: float) -> None:
        """One step: what arrives, then each stage in its order, so that a document takes a step for each at least."""
        scenario, step = self.scenario, self.scenario.step
        if now < scenario.until:
            self._arrive(now)
        for number in reversed(range(len(self.groups))):
            group = self.groups[number]
            following = self.groups[number + 1] if number + 1 < len(self.groups) else None
            group.uncommitted = self._capacity(group, now)
            for accepted, count in group.take(group.uncommitted):
                if following is not None:
                    following.add(accepted, now, count)
                else:
                    self.found.searchable += count
                    seconds = int(now + step - accepted)
                    self.found.fresh[seconds] = self.found.fresh.get(seconds, 0) + count
        for fleet in [*self.groups, self.encoder]:
            fleet.pod_seconds += fleet.pods * step
        self._at(now + step, 1, self._work)

    def _arrive(self, now: float) -> None:
        expected = self.scenario.arrivals(now) * self.scenario.step
        self.arriving += max(0.0, self.chance.gauss(expected, expected**0.5)) if expected else 0.0
        count = int(self.arriving)
        self.arriving -= count
        if count:
            self.found.arrived += count
            self.groups[0].add(now, now, count)

    def _capacity(self, group: _Group, now: float) -> int:
        """Documents of this step, whole ones."""
        if now < group.stalled_until or not group.waiting:
            group.carry = 0.0
            return 0
        rate = group.members * group.stage.rate
        encoder, shared = self.encoder, self.scenario.encoder
        if group.stage.name == self.scenario.encoded:
            rate = min(rate, encoder.ready * shared.rate)
        group.carry += rate * self.scenario.step
        count = min(int(group.carry), group.waiting)
        group.carry = min(group.carry - count, rate * self.scenario.step)
        if group.stage.name == self.scenario.encoded:
            self.worked += count / shared.rate
        return count

    def _look(self, now: float) -> None:
        """All autoscalers look, and one sample is taken."""
        groups = self.groups
        (encoded,) = [group for group in groups if group.stage.name == self.scenario.encoded]
        calls = min(encoded.members, -(-encoded.waiting // POLLED)) if now >= encoded.stalled_until else 0
        interval = self.encoder.autoscaler.policy.polling
        self.busy = min(1.0, self.worked / (self.encoder.ready * interval)) if self.encoder.ready else 0.0
        self.worked = 0.0
        for group in groups:
            told = group.lag(now) if group.ready else None
            self._scale(now, group, Signal(told, group.waiting + group.uncommitted, 0.0, 0.0, 0.0, group.partitions))
        tokens = min(encoded.waiting, calls * POLLED) * self.scenario.encoder.tokens
        self._scale(now, self.encoder, Signal(None, 0, self.busy, calls, tokens, self.scenario.partitions))
        names = {group.stage.name: group for group in groups}
        self.found.samples.append(
            Sample(
                now,
                {name: group.lag(now) for name, group in names.items()},
                {name: group.waiting for name, group in names.items()},
                {name: group.pods for name, group in names.items()} | {"encoder": self.encoder.pods},
            )
        )
        self._at(now + interval, 2, self._look)

    def _scale(self, now: float, fleet: _Fleet, signal: Signal) -> None:
        wanted = fleet.autoscaler.look(now, fleet.pods, fleet.ready, signal)
        if wanted < fleet.pods and fleet.shrink(fleet.pods - wanted):
            self._changed(now, fleet)
        for _ in range(wanted - fleet.pods):
            fleet.starting += 1
            self._at(now + fleet.start_seconds * self.chance.uniform(0.8, 1.5), 0, lambda at: self._ready(at, fleet))

    def _ready(self, now: float, fleet: _Fleet) -> None:
        if fleet.starting:  # else it was taken away meanwhile
            fleet.starting -= 1
            fleet.ready += 1
            self._changed(now, fleet)

    def _changed(self, now: float, fleet: _Fleet) -> None:
        """The members of a group are others."""
        if isinstance(fleet, _Group):
            fleet.stalled_until = now + self.scenario.stall_seconds
            self.found.stalls += 1
