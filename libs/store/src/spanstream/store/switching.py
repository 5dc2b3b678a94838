"""How services in processes of their own change over to another generation together: decision 0033. Notes in the store.

`MOVE` says which generation an index is being moved from, and to which: an indexer of the first goes on with it, though
the other one is live. `HOLD` says that a switch is under way, `MOVER` who may do that, `ENDED` who
does no more. Writers that see it begin nothing. Once it says so for
searches too, they wait: nobody is answered from either generation, and the live one is changed.

Whoever looks uses what it saw for a time that is known, by its own clock; whoever switches waits longer than that. So
no clocks are compared, and no one has to be asked.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from spanstream.store.errors import StoreUnavailable
from spanstream.store.memos import unreadable
from spanstream.store.presence import Gateways
from spanstream.store.store import Store

log = logging.getLogger(__name__)

MOVE, HOLD, MOVER, ENDED = "move", "hold", "mover", "mover-ended"

WRITERS_SEEN_SECONDS = 1.0  # for which a writer uses what it saw
WRITERS_WAIT_SECONDS = 2.0  # until every writer has seen it
WRITERS_PATIENCE_SECONDS = 30.0  # after which a hold counts as left behind by a crash
WRITERS_MOST_SECONDS = 16.0  # that whoever switches takes for it
ALONE_SECONDS = 20.0  # in which whoever has begun one is done, or has found out that it is not to
BEGIN_SECONDS = 2.0  # in which two that begin at once, and have found nobody, find each other
SEARCHES_SEEN_SECONDS = 1.5
SEARCHES_WAIT_SECONDS = 2.0
SEARCHES_MOST_SECONDS = 4.0  # after which the generation is not changed any more
SEARCHES_PATIENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Move:
    """`old`, `new`: generations. `ended`: the old one is given up."""

    old: str
    new: str
    ended: bool = False


class Hold(StrEnum):
    """Who waits while a switch is under way."""

    WRITERS = "writers"
    ALL = "all"  # searches too


def move(store: Store) -> Move | None:
    """What is on record. Raises what the store does."""
    told = store.memos().read(MOVE)
    try:
        return None if told is None else Move(str(told["old"]), str(told["new"]), bool(told["ended"]))
    except KeyError as error:
        raise unreadable() from error


def unfilled(store: Store, generation: str) -> str:
    """Why the services' indexers are not to write this generation; empty: they are. It is the live one, or the one that the index
    is being moved away from; not one that it is still being moved to, be it to its last events. Raises what the store does.
    """
    found = move(store)
    if found is not None and generation == found.new:
        return (
            f"the index is still being moved to {generation}: the process that moves it has to end first (of the chart:"
            " global.migration.to stays until its job has ended)"
        )
    if found is not None and generation == found.old:
        return f"{generation} is given up: the indexers need the encoder of {found.new}" if found.ended else ""
    live = store.live()
    return "" if live == generation else f"{live} is the live generation, and this indexer's is {generation}"


def left_by(store: Store, generation: str) -> bool:
    """Whether the index is being moved away from this generation, whichever is live. `store` need not be open. Raises what it does."""
    if store.live() is None:
        return False
    beside = store.beside()
    try:
        beside.open_live()
        found = move(beside)
    finally:
        beside.close()
    return found is not None and found.old == generation and not found.ended


class Held:
    """Holds as one process sees them. Used by one thread."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`patience`: seconds that one is respected for."""
        self._patience, self._clock = patience, clock
        self._seen: tuple[str, float] | None = None

    def look(self, store: Store) -> Hold | None:
        """What is to be respected now. Raises what the store does."""
        told = store.memos().read(HOLD)
        if told is None:
            self._seen = None
            return None
        try:
            name, who = told["id"], Hold(told["who"])
        except (KeyError, ValueError) as error:
            raise unreadable() from error
        if self._seen is None or self._seen[0] != name:
            self._seen = (name, self._clock())
        over = self._clock() - self._seen[1] >= self._patience
        return None if over else who


class Superseded(Exception):
    """Another process moves the index now: this one is to end."""


class Switching:
    """Holds the others. Used by one thread at a time, but for `ours`; raises what the store does.

    Of several only the last one to begin goes on, and not before whatever another one may be in the middle of is over: that
    one finds out before it writes or switches anything more.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`store` is open."""
        self._store, self._memos, self._clock, self._sleep = store, store.memos(), clock, sleep
        self._gateways = Gateways(clock)
        self._id = uuid.uuid4().hex
        self._alone_at = 0.0
        self._holds: set[str] = set()
        self._seen_at: float | None = None
        self._writers_until: float | None = None

    def begin(self) -> None:
        """From now on it is this one.

        Who has found nobody waits too, as long as another one may take from such a look to its own name: then the first of
        them finds the second one's. A look that took longer counts as if it had found somebody.
        """
        looked_at = self._clock()
        before, ended = self._memos.read(MOVER), self._memos.read(ENDED)
        self._memos.write(MOVER, {"id": self._id})
        now = self._clock()
        nobody = before is None or (ended is not None and ended["id"] == before["id"])
        self._alone_at = now + (BEGIN_SECONDS if nobody and now - looked_at < BEGIN_SECONDS else ALONE_SECONDS)

    def end(self) -> None:
        """It changes nothing any more: the next one need not wait for it. However late this is written, it says so of no other."""
        told = self._memos.read(MOVER)
        if told is not None and told["id"] == self._id:
            self._memos.write(ENDED, {"id": self._id})

    def alone(self) -> None:
        """Wait until nobody else can be in the middle of a switch. Raises Superseded."""
        self._begun()

    def check(self) -> None:
        """Raises Superseded."""
        told = self._memos.read(MOVER)
        if told is None or told["id"] != self._id:
            raise Superseded("another process moves the index now")

    def ours(self) -> None:
        """Asked before anything is written to the new generation: whoever writes it uses the answer as long as indexers do
        theirs. Raises Superseded.
        """
        now = self._clock()
        if self._seen_at is None or now - self._seen_at >= WRITERS_SEEN_SECONDS:
            self.check()
            self._seen_at = now

    def unable(self, generation: str) -> list[str]:
        """The gateways that could not answer from this generation, were it live."""
        return self._gateways.unable(self._store, generation)

    def read(self) -> dict[str, Any] | None:
        """What was put on record."""
        told = self._memos.read(MOVE)
        record: dict[str, Any] | None = None if told is None else told["record"]
        return record

    def write(self, record: Mapping[str, Any] | None, found: Move | None) -> None:
        """Put the move on record, with all that its owner has to know of it. None: there is none any more. Raises Superseded."""
        self.check()
        if found is None:
            self._memos.forget(MOVE)
        else:
            told = {"old": found.old, "new": found.new, "ended": found.ended, "record": record}
            self._memos.write(MOVE, told)

    @contextmanager
    def writers(self) -> Iterator[None]:
        """Inside, no indexer begins anything: all that one still does, or will have shown, was in the log when this began."""
        self._writers_until = self._begun() + WRITERS_MOST_SECONDS
        try:
            self._hold(Hold.WRITERS)
            self._sleep(WRITERS_WAIT_SECONDS)
            yield
        finally:
            self._writers_until = None
            self._let_go()

    @contextmanager
    def searches(self) -> Iterator[None]:
        """Inside, no gateway answers. Raises StoreUnavailable where it took so long that somebody may not be held any more."""
        until, self._writers_until = self._writers_until, None
        if until is None:
            until = self._begun() + WRITERS_MOST_SECONDS
        held = self._clock()
        if held >= until:  # another one may have begun by now
            raise StoreUnavailable("the switch took too long: it is tried again")
        try:
            self._hold(Hold.ALL)
            self._sleep(SEARCHES_WAIT_SECONDS)
            now = self._clock()
            if now >= until or now >= held + SEARCHES_MOST_SECONDS:
                raise StoreUnavailable("the switch took too long: it is tried again")
            yield
        finally:
            if self._clock() - held >= SEARCHES_PATIENCE_SECONDS:
                log.warning(
                    "the switch took so long that a search may have been answered from the generation before it"
                )
            self._let_go()

    def _begun(self) -> float:
        """When it was last sure that nobody else switches."""
        self._sleep(max(0.0, self._alone_at - self._clock()))
        now = self._clock()
        self.check()
        return now

    def _let_go(self) -> None:
        """Of its own hold: after a long standstill there may be another one's."""
        try:
            told = self._memos.read(HOLD)
            if told is not None and told["id"] in self._holds:
                self._memos.forget(HOLD)
        except StoreUnavailable as error:  # it ends by itself
            log.warning("a hold could not be lifted: %s", error)

    def _hold(self, who: Hold) -> None:
        name = uuid.uuid4().hex
        self._holds.add(name)  # before it is known whether it was written
        self._memos.write(HOLD, {"id": name, "who": who})
