"""How many searches run at once, whose turn is next, and how many wait: beyond, the answer is 429 or 503 with Retry-After."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from spanstream.runtime.fair_queue import FairQueue
from spanstream.runtime.metrics import GATEWAY_REFUSED, LIMITS_REFUSED, from_zero
from spanstream.runtime.problems import Problem

# More contend for the interpreter: on two cores, model and index in the process, 64 clients got 17 searches/s with 2 or 4 of
# these, 15 with 8 and 12 with 32.
AT_ONCE = 4
WAITING = 256
MOST_RETRY = 60  # seconds
LEARNING = 0.1  # share of the newest search in the mean of their times

T = TypeVar("T")


class Admission:
    """Threads for `at_once` searches, `of_tenant` of one tenant's, and places for `waiting` more. Of one event loop.

    Tenants take turns, by deficit round robin over the searches that a request holds. Of the places a tenant may have as
    many as are free, so alone half of them, and some are left for whoever comes.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        of_tenant: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`of_tenant` 0: as many as run. `clock` counts seconds."""
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="search")
        self._at_once = at_once
        self._of_tenant = of_tenant or at_once
        self._places = at_once + waiting
        self._clock = clock
        self._turns: FairQueue[tuple[str, asyncio.Future[None]]] = FairQueue()
        self._running: Counter[str] = Counter()  # by tenant; who runs nothing is not in it
        self._taken = 0
        self._seconds = 0.0  # of one search, on average
        from_zero(LIMITS_REFUSED, ["searches-waiting"])

    async def run(self, tenant: str, work: Callable[[], T], searches: int = 1) -> T:
        """What `work`, so many searches, returns or raises, from a thread once it is the tenant's turn.

        Raises a Problem where there is no place: 429 where the tenant has its share of them, else 503.
        """
        self._refuse(tenant)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken += 1
        self._turns.put(tenant, (tenant, turn), searches)
        self._next()
        try:
            await turn
            began = self._clock()
            try:
                return await asyncio.wrap_future(self._pool.submit(copy_context().run, work))
            finally:
                self._seconds += LEARNING * (self._clock() - began - self._seconds)
        finally:
            self._taken -= 1
            if not turn.cancelled():  # its turn had come
                self._running -= Counter((tenant,))
                self._next()

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _refuse(self, tenant: str) -> None:
        free = self._places - self._taken
        mine = self._turns.waiting(tenant)
        if free > mine:
            return
        retry = max(1, min(MOST_RETRY, math.ceil(len(self._turns) * self._seconds / self._at_once)))
        if not mine:
            GATEWAY_REFUSED.inc()
            raise Problem(503, f"{self._taken} searches are already being answered", retry_after=retry)
        LIMITS_REFUSED.labels("searches-waiting").inc()
        raise Problem(429, f"{mine} searches of this tenant are already waiting", retry_after=retry)

    def _next(self) -> None:
        """Let run whose turn it is."""
        while self._running.total() < self._at_once:
            try:
                tenant, turn = self._turns.take(lambda tenant: self._running[tenant] < self._of_tenant)
            except IndexError:
                return
            if not turn.cancelled():  # else nobody waits for it any longer
                self._running[tenant] += 1
                turn.set_result(None)
