"""How many bytes of request bodies are in memory at once, over all requests."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from spanstream.runtime.problems import Problem

RETRY_SECONDS = 1  # most bodies are durable within one
# That a batch whose answer has begun waits for room. It must end, or batches with half-read lines wait for each other.
WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.02  # between two looks for room


class Budget:
    """Of one event loop. Memory is a few times as much: a body is decoded, hashed and published."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes more may be held."""
        return self.held_bytes + size <= self.max_bytes

    def share(self) -> Share:
        """One request's share, empty at first."""
        return Share(self)


class Share:
    """What a request holds until the `with` block ends."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Problem 503 where the budget has no room."""
        if not self._budget.has_room(size):
            raise Problem(503, "too many bytes are being received; send it again", retry_after=RETRY_SECONDS)
        self._budget.held_bytes += size
        self._bytes += size

    async def wait(self, size: int, seconds: float = WAIT_SECONDS) -> None:
        """Hold `size` bytes more, once there is room. Raises Problem 503 after `seconds`."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while not self._budget.has_room(size) and clock() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self.take(size)

    def give(self, size: int) -> None:
        """Hold `size` bytes less."""
        self._budget.held_bytes -= size
        self._bytes -= size

    def __enter__(self) -> Self:
        """Nothing is held yet that was not taken."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.give(self._bytes)
