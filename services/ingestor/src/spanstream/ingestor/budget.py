"""How many bytes of request bodies are in memory at once, over all requests, and whose.

Room for the largest request is kept for one at a time: whoever finds none elsewhere and has no other request may have it, so that
what is permitted gets through whatever the others send. Of the rest a tenant may hold as many as are free, alone half of them, so
that large uploads of one leave room for whoever comes: the dynamic thresholds of `backlog.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

from spanstream.runtime.metrics import LIMITS_REFUSED, from_zero
from spanstream.runtime.problems import Problem

RETRY_SECONDS = 1  # most bodies are durable within one
# That a batch whose answer has begun waits for room. It must end, or batches with half-read lines wait for each other.
WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.02  # between two looks for room


class Budget:
    """Of one event loop. Memory is a few times as much: a body is decoded, hashed and published."""

    def __init__(self, max_bytes: int, largest: int) -> None:
        """`largest`: bytes that one request may need; at most as many as `max_bytes`, of which they are."""
        self._largest = largest
        self._shared = max_bytes - largest
        self._held: Counter[str] = Counter()  # shared bytes by tenant; who holds none is not in it
        self._kept_for: Share | None = None  # who holds what is kept
        from_zero(LIMITS_REFUSED, ["bytes-held"])

    def has_room(self, tenant: str, size: int) -> bool:
        """Whether the tenant may hold `size` shared bytes more."""
        return self._held[tenant] + size <= self._shared - self._held.total()

    def keeps(self, share: Share, size: int) -> bool:
        """Whether the share may hold `size` bytes more, all of them of what is kept for one request."""
        if share.bytes + size > self._largest:
            return False
        return self._kept_for is share or (self._kept_for is None and self._held[share.tenant] == share.bytes)

    def take(self, share: Share, size: int) -> None:
        """Hold `size` bytes more. Raises a Problem where there is no room: 429 for a tenant that holds its part, or 503."""
        tenant = share.tenant
        if self._kept_for is not share and self.has_room(tenant, size):
            self._held[tenant] += size
        elif self.keeps(share, size):
            self.give(share, share.bytes)
            self._kept_for = share
        elif self._held[tenant] * len(self._held) < self._held.total():  # others filled it
            raise Problem(503, "too many bytes are being received; send it again", retry_after=RETRY_SECONDS)
        else:
            LIMITS_REFUSED.labels("bytes-held").inc()
            told = "too many bytes of this tenant are being received; send it again"
            raise Problem(429, told, retry_after=RETRY_SECONDS)

    def give(self, share: Share, size: int) -> None:
        """Hold `size` bytes less."""
        if self._kept_for is not share:
            self._held -= Counter({share.tenant: size})

    def end(self, share: Share) -> None:
        """The share holds nothing any more."""
        if self._kept_for is share:
            self._kept_for = None

    def share(self, tenant: str) -> Share:
        """One request's share, empty at first."""
        return Share(self, tenant)


class Share:
    """What a request holds until the `with` block ends."""

    def __init__(self, budget: Budget, tenant: str) -> None:
        self._budget = budget
        self.tenant = tenant
        self.bytes = 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Problem 429 or 503 where the budget has no room."""
        self._budget.take(self, size)
        self.bytes += size

    async def wait(self, size: int, seconds: float = WAIT_SECONDS) -> None:
        """Hold `size` bytes more, once there is room. Raises Problem 429 or 503 after `seconds`."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while not self._has_room(size) and clock() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self.take(size)

    def give(self, size: int) -> None:
        """Hold `size` bytes less."""
        self._budget.give(self, size)
        self.bytes -= size

    def _has_room(self, size: int) -> bool:
        return self._budget.has_room(self.tenant, size) or self._budget.keeps(self, size)

    def __enter__(self) -> Self:
        """Nothing is held yet that was not taken."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.give(self.bytes)
        self._budget.end(self)
