"""How many requests the encoder application answers at once, so that queries always find room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spanstream.runtime.problems import Problem

RETRY_AFTER = 1  # seconds
BYTES_PER_TOKEN = 4  # of text, roughly, in English; what scales by tokens need not know better


class Admission:
    """Room for `requests` at once with `size` bytes together. Entered in the event loop's thread only.

    Of both, queries alone may take the share that the last `for_queries` requests are.
    """

    def __init__(self, requests: int, for_queries: int, size: int) -> None:
        """Raises ValueError where nothing but queries would find room."""
        if not 0 <= for_queries < requests:
            raise ValueError("at least one request that is no query must find room")
        self.requests = requests
        self._limits = {
            True: (requests, size),
            False: (requests - for_queries, bulk_bytes(requests, for_queries, size)),
        }
        self._ongoing = 0
        self._bytes = 0

    @property
    def tokens(self) -> int:
        """About how many tokens are waiting or being read; any thread may ask."""
        return self._bytes // BYTES_PER_TOKEN

    @contextmanager
    def request(self, *, query: bool) -> Iterator[Callable[[int], None]]:
        """A place while the block runs, in which the function given takes room for so many more bytes.

        Both raise a Problem (503) where there is none.
        """
        requests, size = self._limits[query]
        if self._ongoing >= requests:
            raise Problem(503, f"{self._ongoing} requests are already being answered", retry_after=RETRY_AFTER)
        taken = 0

        def take(more: int) -> None:
            nonlocal taken
            if self._bytes + more > size:
                raise Problem(503, f"{self._bytes} bytes are already being answered", retry_after=RETRY_AFTER)
            taken += more
            self._bytes += more

        self._ongoing += 1
        try:
            yield take
        finally:
            self._ongoing -= 1
            self._bytes -= taken


def bulk_bytes(requests: int, for_queries: int, size: int) -> int:
    """Of `size` bytes those that all but queries may take together."""
    return size * (requests - for_queries) // requests
