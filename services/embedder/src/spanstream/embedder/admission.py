"""How many requests the encoder application answers at once, so that queries always find room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spanstream.runtime.problems import Problem

RETRY_AFTER = 1  # seconds
BYTES_PER_TOKEN = 4  # of text, roughly, in English; what scales by tokens need not know better


class Admission:
    """Room for `requests` at once, the last `for_queries` of them for queries alone. Entered in the event loop's thread only."""

    def __init__(self, requests: int, for_queries: int) -> None:
        if not 0 <= for_queries < requests:
            raise ValueError("at least one request that is no query must find room")
        self.requests = requests
        self._bulk = requests - for_queries
        self._ongoing = 0
        self._bytes = 0

    @property
    def tokens(self) -> int:
        """About how many tokens are waiting or being read; any thread may ask."""
        return self._bytes // BYTES_PER_TOKEN

    @contextmanager
    def request(self, *, query: bool) -> Iterator[None]:
        """A place while the block runs; raises a Problem (503) where there is none."""
        limit = self.requests if query else self._bulk
        if self._ongoing >= limit:
            raise Problem(503, f"{self._ongoing} requests are already being answered", retry_after=RETRY_AFTER)
        self._ongoing += 1
        try:
            yield
        finally:
            self._ongoing -= 1

    @contextmanager
    def body(self, size: int) -> Iterator[None]:
        """Count `size` bytes as ongoing while the block runs."""
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
