"""Which rows the model reads next: queries, then those of small calls, then those of large ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from spanstream.representations.batching import batches, packed_batches

SMALL_CALL = 512  # tokens: a query, or one short document
# Small calls may pass the large ones this often in a row; then a large one gets a turn, so that none waits for ever.
_PASSES = 8
# Rows of large calls are sorted together up to this many batches. More makes batches fuller where calls are small, but
# the shortest row waits for all of them: over 16,384 tokens, documents waited half a second for each other under load.
_HORIZON = 8


class Sized(Protocol):
    """Anything with a number of tokens."""

    @property
    def length(self) -> int:
        """Tokens."""
        ...


R = TypeVar("R", bound=Sized)


class Backlog(Generic[R]):
    """Rows waiting for the model. Not thread-safe: its owner locks."""

    def __init__(self, budget: int, *, packs: bool = False) -> None:
        """`budget`: tokens of a batch, padding counted. `packs`: rows of any length go together, because the model reads
        several as one.
        """
        self._budget = budget
        self._packs = packs
        self._queries: deque[R] = deque()
        self._small: deque[R] = deque()
        self._large: deque[R] = deque()
        self._sorted: deque[list[R]] = deque()
        self._passes = 0

    def __len__(self) -> int:
        """Rows waiting."""
        return len(self._queries) + len(self._small) + len(self._large) + sum(map(len, self._sorted))

    @property
    def queries(self) -> int:
        """Rows of queries waiting."""
        return len(self._queries)

    def add(self, rows: Sequence[R], *, query: bool = False) -> None:
        """The rows of one call; those of a query are read early whatever its size."""
        if query:
            self._queries.extend(rows)
        else:
            (self._small if sum(row.length for row in rows) <= SMALL_CALL else self._large).extend(rows)

    def take(self) -> list[R]:
        """The next batch; empty if nothing waits."""
        return self._next(self._queries or self._small)

    def take_queries(self) -> list[R]:
        """The next batch of queries; empty if none waits."""
        return self._oldest(self._queries) if self._queries else []

    def take_documents(self) -> list[R]:
        """The next batch of what is no query; empty if none waits."""
        return self._next(self._small)

    def _next(self, early: deque[R]) -> list[R]:
        waiting = bool(self._large or self._sorted)
        if early and not (waiting and self._passes >= _PASSES):
            self._passes = self._passes + 1 if waiting else 0
            return self._oldest(early)
        self._passes = 0
        if not self._sorted:
            rows, made = self._batches(self._large, self._budget * _HORIZON)
            self._sorted.extend([rows[i] for i in batch] for batch in made)
        return self._sorted.popleft() if self._sorted else []

    def clear(self) -> list[R]:
        """Take everything."""
        rows = [*self._queries, *self._small, *self._large, *(row for batch in self._sorted for row in batch)]
        for queue in (self._queries, self._small, self._large, self._sorted):
            queue.clear()
        return rows

    def _oldest(self, queue: deque[R]) -> list[R]:
        """The batch with the oldest row: any other might pass it again and again."""
        rows, made = self._batches(queue, self._budget)
        oldest = next(batch for batch in made if 0 in batch)
        queue.extendleft(rows[i] for i in reversed(range(len(rows))) if i not in oldest)
        return [rows[i] for i in oldest]

    def _batches(self, queue: deque[R], tokens: int) -> tuple[list[R], list[list[int]]]:
        """The oldest rows, about `tokens` of them, oldest first, and their numbers in batches."""
        rows: list[R] = []
        while queue and (not rows or tokens >= queue[0].length):
            tokens -= queue[0].length
            rows.append(queue.popleft())
        return rows, (packed_batches if self._packs else batches)([row.length for row in rows], self._budget)
