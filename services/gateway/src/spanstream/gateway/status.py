"""What became of a document, as its head says; and waiting until it says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from spanstream.events.ids import Key
from spanstream.store.points import Failure, Head, State

TICK_SECONDS = 0.015
# Times as long as the last read kept its thread at work: waiting takes at most a twentieth of a core, however many are
# waited for. What else it took, in a queue or at the store's, is rested once, so that a slow store is asked half the time.
REST = 19
AT_ONCE = 64  # documents of one waiter per read: those behind are ready hardly before the first ones


class Outcome(StrEnum):
    """The state that callers see."""

    PENDING = "pending"
    SEARCHABLE = "searchable"
    DELETED = "deleted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """`version` and `content_hash` are what the index shows now, 0 and empty where it shows nothing."""

    outcome: Outcome
    version: int = 0
    content_hash: bytes = b""
    failure: Failure | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be expected."""
        return self.outcome is not Outcome.PENDING


def status(head: Head | None, version: int | None) -> Status:
    """The status of the given version, or of the newest known. A version that a newer one superseded counts as it does."""
    if head is None:
        return Status(Outcome.PENDING)
    if head.state is State.ABSENT:
        shown = Status(Outcome.PENDING)
        newest = -1
    else:
        shown = Status(_SHOWN[head.state], head.version, head.content_hash)
        newest = head.version
    if version is not None and newest >= version:
        return shown
    failure = head.failure
    if failure and failure.version > newest and (version is None or failure.version >= version):
        return replace(shown, outcome=Outcome.FAILED, failure=failure)
    return shown if version is None else replace(shown, outcome=Outcome.PENDING)


_SHOWN = {State.LIVE: Outcome.SEARCHABLE, State.DELETED: Outcome.DELETED}


Seen = Callable[[Mapping[Key, Head]], Mapping[Key, Head]]


class Watch:
    """Waits for documents to settle: all waiters of an event loop share one read of the heads per tick."""

    def __init__(self, read: Callable[[Sequence[Key]], Mapping[Key, Head]]) -> None:
        """`read` blocks; it runs in a thread."""
        self._read = read
        self._asked: set[Key] = set()
        self._next: asyncio.Task[Mapping[Key, Head]] | None = None
        self._pause = TICK_SECONDS

    async def heads(self, wanted: Mapping[Key, int | None], seconds: float, seen: Seen) -> dict[Key, Head]:
        """The heads of these documents once all are settled at the wanted versions, or after `seconds`.

        `seen`: those that the caller may know of; for any other the caller waits as for a document that is unknown.
        """
        deadline = time.monotonic() + seconds
        heads = dict(seen(await asyncio.to_thread(self._read, list(wanted))))

        def unsettled(keys: Iterable[Key]) -> list[Key]:
            return [key for key in keys if not status(heads.get(key), wanted[key]).settled]

        pending = unsettled(wanted)
        while pending and time.monotonic() < deadline:
            first = pending[:AT_ONCE]
            heads.update(seen(await self._soon(first)))
            pending[:AT_ONCE] = unsettled(first)
        if pending and seconds:  # those behind may be settled where the first ones never are
            heads.update(seen(await asyncio.to_thread(self._read, pending)))
        return heads

    async def _soon(self, keys: Iterable[Key]) -> Mapping[Key, Head]:
        self._asked.update(keys)
        if self._next is None:
            self._next = asyncio.create_task(self._tick())
        return await asyncio.shield(self._next)

    async def _tick(self) -> Mapping[Key, Head]:
        await asyncio.sleep(self._pause)
        asked, self._asked, self._next = self._asked, set(), None
        began = time.monotonic()
        heads, work = await asyncio.to_thread(self._timed, list(asked))
        self._pause = max(TICK_SECONDS, REST * work, time.monotonic() - began)
        return heads

    def _timed(self, keys: Sequence[Key]) -> tuple[Mapping[Key, Head], float]:
        began = time.thread_time()
        return self._read(keys), time.thread_time() - began
