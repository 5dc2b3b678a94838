"""How long what was accepted will keep the pipeline busy, by tenant, and who may add to it.

Work is bytes of documents. What this process has put into the log and what `progress` tells of it gives the work that
waits and the rate at which it goes; their ratio is the backlog in seconds. A tenant may have as many seconds of it as are
left to the limit: alone half of it, and of n that all want more each one part in n + 1, so that there is always room for
whoever comes (A. K. Choudhury and E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
IEEE/ACM Transactions on Networking 6(2), 1998, with alpha = 1). That one part each has in any case, also where the rate
fell and what others had sent is too much by now: `runtime.fair_consumer` lets tenants take turns, so it does not wait for
theirs. The log itself is the queue: what is refused costs no memory.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping

from spanstream.runtime.metrics import INGESTOR_BACKLOG_SECONDS, LIMITS_REFUSED, from_zero
from spanstream.runtime.problems import Problem

LEAST_WORK, MOST_WORK = (
    2**10,
    2**20,
)  # bytes that a document counts as: a delete is work too, and of a file little is text
# Seconds: what was applied sooner did not wait, as three commits and a look take their time. Then how much is done says how
# much was asked for, and may raise the rate but not lower it.
PATIENCE = 5.0
FIRST_RATE = 2.0**16  # bytes a second that are believed before any were seen: some fifty short documents
MEMORY_SECONDS = 30.0  # over which the rate is averaged
STALL_SECONDS = 10.0  # without any progress that count: beyond, something is away, which says nothing about the rate
MOST_RETRY = 60  # seconds
DELETES = 1.25  # of the limits: deletes still find room where documents find none, and are bounded too


class Backlog:
    """Of one process's accepts; thread-safe. `limit` 0: nothing is counted and nobody refused."""

    def __init__(self, limit: float, *, most_open: int = 200_000, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` in seconds of work; `most_open` documents are remembered, beyond which everyone is refused. For
        deletes both are a quarter more.
        """
        self._limit = limit
        self._most_open = most_open
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[int, list[tuple[int, float, str, int]]] = {}  # partition -> offset, accepted at, tenant, work
        self._count = 0
        self._work: dict[str, int] = {}  # tenant -> open work; who has none is not in it
        self._done, self._busy = FIRST_RATE * MEMORY_SECONDS, MEMORY_SECONDS  # work and its seconds, fading
        self._stalled = 0.0  # seconds without anything done, while there was something to do
        self._looked = clock()
        from_zero(LIMITS_REFUSED, ["backlog"])

    def admit(self, tenant: str, *, delete: bool = False) -> None:
        """Whether it may add a document, or a delete: else a Problem, 429 where its own share is used up, or 503."""
        if not self._limit:
            return
        extent = DELETES if delete else 1.0
        limit = self._limit * extent
        with self._lock:
            full = self._count >= self._most_open * extent
            total, mine = sum(self._work.values()), self._work.get(tenant, 0)
            tenants = len(self._work.keys() | {tenant})
            left = limit - self._seconds(total)
            # A tenant's own turns come sooner than its documents count as done, which is when all before them are. What it sends
            # no faster than its turns come is open all the same until the oldest of all is done.
            now = self._clock()
            waited = max((now - waiting[0][1] for waiting in self._open.values() if waiting), default=0.0)
            over = self._seconds(mine) - max(left, limit / (tenants + 1), waited / tenants)
        if not full and over < 0:
            return
        if full and mine * tenants < total:  # others filled it
            raise Problem(503, "as many documents as may wait to be indexed already", retry_after=_retry(-left))
        LIMITS_REFUSED.labels("backlog").inc()
        raise Problem(429, "this tenant's share of what may wait to be indexed is used up", retry_after=_retry(over))

    def accepted(self, tenant: str, partition: int, offset: int, size: int) -> None:
        """The log has acknowledged a document of so many bytes."""
        if not self._limit:
            return
        work = max(LEAST_WORK, min(MOST_WORK, size))
        with self._lock:
            insort(self._open.setdefault(partition, []), (offset, self._clock(), tenant, work))
            self._count += 1
            self._work[tenant] = self._work.get(tenant, 0) + work

    def applied(self, below: Mapping[int, int]) -> None:
        """All before these offsets, by partition, is applied; tell it at regular times, also that nothing moved."""
        with self._lock:
            now = self._clock()
            interval, self._looked = now - self._looked, now
            done = late = 0
            for partition, offset in below.items():
                for at, work in self._finish(partition, offset):
                    done += work
                    late += work if now - at > PATIENCE else 0
            self._stalled += interval
            seconds = min(self._stalled, STALL_SECONDS)
            if done and (2 * late > done or done * self._busy > self._done * seconds):
                fading = math.exp(-seconds / MEMORY_SECONDS)
                self._done, self._busy = self._done * fading + done, self._busy * fading + seconds
            if done or not self._count:
                self._stalled = 0.0
            INGESTOR_BACKLOG_SECONDS.set(self._seconds(sum(self._work.values())))

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return not self._count

    def _finish(self, partition: int, below: int) -> list[tuple[float, int]]:
        """Forget what lies below: when it was accepted, and its work."""
        waiting = self._open.get(partition, [])
        end = bisect_left(waiting, (below,))
        for _, _, tenant, work in waiting[:end]:
            self._work[tenant] -= work
            if not self._work[tenant]:
                del self._work[tenant]
        self._count -= end
        done = [(at, work) for _, at, _, work in waiting[:end]]
        del waiting[:end]
        return done

    def _seconds(self, work: float) -> float:
        """That so much work takes."""
        return work * self._busy / self._done


def _retry(seconds: float) -> int:
    return max(1, min(MOST_RETRY, math.ceil(seconds)))
