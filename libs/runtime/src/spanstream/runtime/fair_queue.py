"""Whose turn it is: deficit round robin, in which whoever comes goes first once.

M. Shreedhar and G. Varghese, "Efficient Fair Queueing using Deficit Round Robin", SIGCOMM 1995: each flow has a queue of
its own and gets a quantum of cost a round; what it does not use while it waits it keeps. Over any time flows that always
wait get the same within one quantum and one item. A flow that had nothing to ask for since its last turn has its first
quantum before them, and then takes turns as they do, also where it has nothing left (T. Hoeiland-Joergensen et al., "The
Flow Queue CoDel Packet Scheduler and Active Queue Management Algorithm", RFC 8290, 2018, 4.1): who asks for little does
not wait for a round of the others, and nobody gains by asking in small pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flow(Generic[T]):
    """Items with their costs by lane, in the order of the lanes' turns; `deficit` is the cost that it may still use."""

    lanes: dict[Hashable, deque[tuple[float, T]]] = field(default_factory=dict)
    deficit: float = 0.0
    on_turn: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def items(self) -> Iterator[T]:
        return (item for lane in self.lanes.values() for _, item in lane)

    def head(self) -> tuple[float, T]:
        return next(iter(self.lanes.values()))[0]

    def pop(self) -> None:
        name, lane = next(iter(self.lanes.items()))
        del self.lanes[name]
        lane.popleft()
        if lane:
            self.lanes[name] = lane

    def keep(self, wanted: Callable[[T], bool]) -> None:
        kept = {name: deque(pair for pair in lane if wanted(pair[1])) for name, lane in self.lanes.items()}
        self.lanes = {name: lane for name, lane in kept.items() if lane}


class FairQueue(Generic[T]):
    """Items of flows. Not thread-safe, and without a bound: its owner has both.

    A flow's items have lanes, which it serves one item at a time in turn; within a lane they are first in, first out.
    """

    def __init__(self, quantum: float = 1.0) -> None:
        """`quantum`: cost that a flow gets a round. The smaller, the shorter the turns; an item's cost may be any."""
        self._quantum = quantum
        self._count = 0
        # Both in the order of turns. Those that come, and the others: of these one may be empty until its turn.
        self._fresh: dict[str, _Flow[T]] = {}
        self._flows: dict[str, _Flow[T]] = {}

    def __len__(self) -> int:
        """Items waiting."""
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Items waiting, flow by flow."""
        return (item for flow in chain(self._fresh.values(), self._flows.values()) for item in flow.items())

    def waiting(self, flow: str) -> int:
        """Items of this flow."""
        found = self._fresh.get(flow, self._flows.get(flow))
        return 0 if found is None else len(found)

    def put(self, flow: str, item: T, cost: float = 1.0, lane: Hashable = None) -> None:
        """Behind what the flow's lane has."""
        if (found := self._flows.get(flow)) is None:
            found = self._fresh.setdefault(flow, _Flow())
        found.lanes.setdefault(lane, deque()).append((cost, item))
        self._count += 1

    def take(self, able: Callable[[str], bool] = lambda flow: True) -> T:
        """The next item of a flow that is able to go on; raises IndexError where none waits."""
        while (name := next(filter(able, chain(self._fresh, self._flows)), None)) is not None:
            flows = self._fresh if name in self._fresh else self._flows
            flow = flows[name]
            if not flow.lanes:  # its turn is over; who asks for nothing saves nothing up
                del flows[name]
                continue
            if not flow.on_turn:
                flow.on_turn, flow.deficit = True, flow.deficit + self._quantum
            cost, item = flow.head()
            if cost <= flow.deficit:
                flow.deficit -= cost
                flow.pop()
                self._count -= 1
                if not flow.lanes:
                    del flows[name]
                    if self._count:  # what it asks for in this round has no precedence
                        self._flows[name] = _Flow()
                return item
            flow.on_turn = False
            self._flows[name] = flows.pop(name)  # to the end of the round
        raise IndexError("nothing waits")

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Forget every item but those."""
        for flow in chain(self._fresh.values(), self._flows.values()):
            flow.keep(wanted)
        self._fresh, self._flows = (
            {name: flow for name, flow in flows.items() if flow.lanes} for flows in (self._fresh, self._flows)
        )
        self._count = sum(map(len, chain(self._fresh.values(), self._flows.values())))
