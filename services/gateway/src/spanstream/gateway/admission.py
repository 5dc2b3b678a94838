"""How many searches run at once and how many wait for their turn: beyond, the answer is 503 with Retry-After."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from spanstream.runtime.metrics import GATEWAY_REFUSED
from spanstream.runtime.problems import Problem

# More contend for the interpreter: on two cores, model and index in the process, 64 clients got 17 searches/s with 2 or 4 of
# these, 15 with 8 and 12 with 32.
AT_ONCE = 4
WAITING = 256
RETRY_SECONDS = 1

T = TypeVar("T")


class Admission:
    """Threads for `at_once` searches, in whose order of arrival `waiting` more have a place. Of one event loop."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="search")
        self._places = at_once + waiting
        self._taken = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, from a thread; raises a Problem (503) where there is no place."""
        if self._taken >= self._places:
            GATEWAY_REFUSED.inc()
            raise Problem(503, f"{self._taken} searches are already being answered", retry_after=RETRY_SECONDS)
        self._taken += 1
        try:
            return await asyncio.wrap_future(self._pool.submit(copy_context().run, work))
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
