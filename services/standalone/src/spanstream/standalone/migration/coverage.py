"""Whether one generation holds what another one shows: every live document in the same version, and no deleted one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from spanstream.events.ids import Key
from spanstream.standalone.audit.reading import Progress, silent
from spanstream.store.points import Head, State
from spanstream.store.store import Store

BATCH = 500  # heads of one question
LOOK_SECONDS = 0.5
MOST = 10_000  # documents that are looked at again; of more it is only said that they lack
NAMED = 5


@dataclass(frozen=True, slots=True)
class Coverage:
    """Documents. `lacking`: live ones that the new generation shows in another version, or not at all; `stale`: deleted ones
    that it still shows. `named`: the first NAMED of both, for whoever looks after them."""

    live: int
    lacking: int
    stale: int
    named: Sequence[Key] = ()

    @property
    def whole(self) -> bool:
        """Whether the new one may take over."""
        return not (self.lacking or self.stale)


def cover(
    old: Store,
    new: Store,
    seconds: float,
    progress: Progress = silent,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Coverage:
    """Compare all; what differs is looked at again for `seconds`, as both are being written. Raises what the stores do."""
    deadline, live = clock() + seconds, 0

    def counted() -> Iterator[Head]:
        nonlocal live
        for number, head in enumerate(old.scan_heads(), 1):
            live += head.state is State.LIVE
            if number % BATCH == 0:
                progress("comparing documents", number, number)
            yield head

    differing = list(_differing(counted(), new))
    while differing and len(differing) <= MOST and clock() < deadline:
        sleep(LOOK_SECONDS)
        differing = list(_differing(old.heads([head.key for head in differing]).values(), new))
    lacking = sum(head.state is State.LIVE for head in differing)
    named = tuple(head.key for head in differing[:NAMED])
    return Coverage(live, lacking, len(differing) - lacking, named)


def _differing(heads: Iterable[Head], new: Store) -> Iterator[Head]:
    left = iter(heads)
    while batch := list(islice(left, BATCH)):
        there = new.heads([head.key for head in batch])
        yield from (head for head in batch if not _covered(head, there.get(head.key)))


def _covered(old: Head, new: Head | None) -> bool:
    """Ahead is as good as equal: what comes next is on its way to the other one."""
    if old.state is State.LIVE:
        return new is not None and new.state is not State.ABSENT and new.order >= old.order
    shown = new is not None and new.state is State.LIVE
    return old.state is State.ABSENT or not shown or new.order > old.order  # type: ignore[union-attr]
