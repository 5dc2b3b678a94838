"""Blocking work, one piece after another in a thread of its own, and a bounded queue before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """As much waits as may wait: try again later."""


class Lane:
    """Belongs to one event loop, but for `close`."""

    def __init__(self, name: str, most: int) -> None:
        """`most`: pieces of work that run or wait."""
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._most = most
        self._held = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What it returns or raises, in turn. Raises Busy. What nobody waits for any more and has not begun never does."""
        if self._held >= self._most:
            raise Busy
        self._held += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._held -= 1

    def close(self) -> None:
        """Wait for what runs; idempotent."""
        self._threads.shutdown(wait=True, cancel_futures=True)
