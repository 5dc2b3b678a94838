"""How much a tenant may ask for: requests and bytes per second (token buckets) and requests at once. By tenant, never by address.

Of one process: behind several replicas a tenant has several times as much.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from spanstream.runtime.metrics import LIMITS_REFUSED, from_zero
from spanstream.runtime.problems import Problem

MAX_TENANTS = 10_000  # that are remembered while they ask for nothing
BUSY_SECONDS = 1  # after which who has too many requests running is told to come again


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one tenant; 0: no limit. Who was quiet for `burst_seconds` may ask for so many seconds' worth at once."""

    requests_per_second: float = 0.0
    bytes_per_second: float = 0.0
    requests_at_once: int = 0
    burst_seconds: float = 10.0


class Bucket:
    """Tokens that come at `rate` per second, `burst` at most. What is taken beyond them is owed. `rate` 0: no limit."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._then = 0.0

    def missing(self, wanted: float, now: float) -> float:
        """Seconds until there are so many; 0 if there are. `now` never falls."""
        if not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now
        return max(0.0, (wanted - self._tokens) / self._rate)

    def take(self, tokens: float) -> None:
        """Take so many, whether they are there or not."""
        self._tokens -= tokens

    def full(self, now: float) -> bool:
        """Whether nothing is owed or used."""
        return not self.missing(self._burst, now)


class _Tenant:
    def __init__(self, rates: Rates) -> None:
        requests, size = rates.requests_per_second, rates.bytes_per_second
        self.requests = Bucket(requests, max(1.0, requests * rates.burst_seconds))
        self.bytes = Bucket(size, size * rates.burst_seconds)
        self.running = 0


class Limits:
    """Of one event loop."""

    def __init__(
        self,
        rates: Rates,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._sleep = sleep
        self._tenants: dict[str, _Tenant] = {}
        from_zero(LIMITS_REFUSED, ["requests-at-once", "bytes", "requests"])

    def admit(self, tenant: str) -> Admitted:
        """A place for one request, to be used as a context; raises Problem 429 with Retry-After."""
        now, of = self._clock(), self._of(tenant)
        most = self._rates.requests_at_once
        if most and of.running >= most:
            LIMITS_REFUSED.labels("requests-at-once").inc()
            raise Problem(429, f"{most} requests of this tenant are already running", retry_after=BUSY_SECONDS)
        for bucket, wanted, what in ((of.bytes, 0.0, "bytes"), (of.requests, 1.0, "requests")):
            if seconds := bucket.missing(wanted, now):
                LIMITS_REFUSED.labels(what).inc()
                retry = max(1, math.ceil(seconds))
                raise Problem(429, f"this tenant has sent too many {what} per second", retry_after=retry)
        of.requests.take(1.0)
        return Admitted(of, self._clock, self._sleep)

    def _of(self, tenant: str) -> _Tenant:
        if tenant not in self._tenants:
            if len(self._tenants) >= MAX_TENANTS:
                now = self._clock()
                self._tenants = {name: each for name, each in self._tenants.items() if not _quiet(each, now)}
            self._tenants[tenant] = _Tenant(self._rates)
        return self._tenants[tenant]


class Admitted:
    """One request that runs, until the `with` block ends."""

    def __init__(self, tenant: _Tenant, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._tenant = tenant
        self._clock = clock
        self._sleep = sleep

    async def received(self, size: int) -> None:
        """So many bytes have come; ends when more may be read, so that a long body comes no faster than many short ones."""
        self._tenant.bytes.take(size)
        if seconds := self._tenant.bytes.missing(0.0, self._clock()):
            await self._sleep(seconds)

    def __enter__(self) -> Self:
        """It runs."""
        self._tenant.running += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It has ended."""
        self._tenant.running -= 1


def _quiet(tenant: _Tenant, now: float) -> bool:
    return not tenant.running and tenant.requests.full(now) and tenant.bytes.full(now)
