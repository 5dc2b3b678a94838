"""How much the encoder application answers at once: its memory is bounded, and queries always find room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spanstream.runtime.problems import Problem

RETRY_AFTER = 1  # seconds
BYTES_PER_TOKEN = 4  # of text, roughly, in English; what scales by tokens need not know better


class Admission:
    """Room for `requests` at once with `size` bytes together, their answers' vectors among them.

    Entered in the event loop's thread only.

    Of both numbers, queries alone may take the share that the last `for_queries` requests are.
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
        self._ongoing: set[Place] = set()

    @property
    def tokens(self) -> int:
        """About how many tokens are waiting or being read; any thread may ask."""
        return sum(place.asked for place in self._ongoing.copy()) // BYTES_PER_TOKEN

    @contextmanager
    def request(self, *, query: bool) -> Iterator[Place]:
        """A place while the block runs; raises a Problem (503) where there is none."""
        requests, size = self._limits[query]
        if len(self._ongoing) >= requests:
            raise Problem(503, f"{len(self._ongoing)} requests are already being answered", retry_after=RETRY_AFTER)
        place = Place(lambda: size - self._bytes())
        self._ongoing.add(place)
        try:
            yield place
        finally:
            self._ongoing.remove(place)

    def _bytes(self) -> int:
        return sum(place.asked + place.answered for place in self._ongoing)


class Place:
    """What one request takes, in bytes: `asked` of its body so far, `answered` of its answer's vectors."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self.asked = self.answered = 0

    def ask(self, more: int) -> None:
        """Take room for so many more bytes of the body; raises a Problem (503) where there is none."""
        self._refuse(more)
        self.asked += more

    def answer(self, more: int) -> None:
        """The same for its answer."""
        self._refuse(more)
        self.answered += more

    def _refuse(self, more: int) -> None:
        if more > self._room():
            raise Problem(503, "as much as there is room for is already being answered", retry_after=RETRY_AFTER)


def bulk_bytes(requests: int, for_queries: int, size: int) -> int:
    """Of `size` bytes those that all but queries may take together."""
    return size * (requests - for_queries) // requests
