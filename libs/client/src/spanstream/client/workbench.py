"""`client.failures`: what both clients offer, to be called or to be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from spanstream.client import dead_letters, flows
from spanstream.client.dead_letters import PAGE, DeadLetters, FailureGroups, Resolution, Selection
from spanstream.client.effects import Flow

RATE = 50  # records a second


class Failures:
    """Raises what the client's methods raise."""

    def __init__(self, run: Callable[[Flow[Any]], Any]) -> None:
        self._run = run

    def groups(self) -> FailureGroups:
        """What failed, by cause."""
        found: FailureGroups = self._run(flows.call(dead_letters.listed(), dead_letters.read_groups))
        return found

    def show(self, fingerprint: str, *, limit: int = PAGE, cursor: str | None = None) -> DeadLetters:
        """A page of the records of one cause; raises NotFound where none is open."""
        request = dead_letters.shown(fingerprint, limit, cursor)
        found: DeadLetters = self._run(flows.call(request, dead_letters.read_records))
        return found

    def replay(self, fingerprint: str, *, rate_per_second: int = RATE, **selection: Unpack[Selection]) -> Resolution:
        """Send the records of one cause again, the oldest first; not those that fail meanwhile. Safe to interrupt and to
        repeat. Raises NotFound where none is open.
        """
        flow = dead_letters.resolving("replay", fingerprint, selection, rate_per_second)
        told: Resolution = self._run(flow)
        return told

    def discard(self, fingerprint: str, **selection: Unpack[Selection]) -> Resolution:
        """Let the records of one cause be: they are listed no more, and stay in the log. Raises as `replay` does."""
        told: Resolution = self._run(dead_letters.resolving("discard", fingerprint, selection))
        return told


class AsyncFailures:
    """The same, to be awaited."""

    def __init__(self, run: Callable[[Flow[Any]], Awaitable[Any]]) -> None:
        self._run = run

    async def groups(self) -> FailureGroups:
        """What failed, by cause."""
        found: FailureGroups = await self._run(flows.call(dead_letters.listed(), dead_letters.read_groups))
        return found

    async def show(self, fingerprint: str, *, limit: int = PAGE, cursor: str | None = None) -> DeadLetters:
        """A page of the records of one cause; raises NotFound where none is open."""
        request = dead_letters.shown(fingerprint, limit, cursor)
        found: DeadLetters = await self._run(flows.call(request, dead_letters.read_records))
        return found

    async def replay(
        self, fingerprint: str, *, rate_per_second: int = RATE, **selection: Unpack[Selection]
    ) -> Resolution:
        """Send the records of one cause again, the oldest first; not those that fail meanwhile. Safe to interrupt and to
        repeat. Raises NotFound where none is open.
        """
        flow = dead_letters.resolving("replay", fingerprint, selection, rate_per_second)
        told: Resolution = await self._run(flow)
        return told

    async def discard(self, fingerprint: str, **selection: Unpack[Selection]) -> Resolution:
        """Let the records of one cause be: they are listed no more, and stay in the log. Raises as `replay` does."""
        told: Resolution = await self._run(dead_letters.resolving("discard", fingerprint, selection))
        return told
