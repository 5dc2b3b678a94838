"""Takes away passages that no head will ever name: what faults left below a head, and versions whose other parts were lost.

    1 read some passages' bodies, going on where the last look ended
    2 read their heads
    3 delete what lies below them, as step 9 of the handler does
    4 of a version above its head note since when it waits, or delete it after 7 days and note the failure PARTS_MISSING

Slow on purpose: a pass over everything takes hours, and nobody sees what it looks for. The handler of this process does nothing
between 2 and 4: a version must not be completed while it is deleted. Where several indexers share a server, one of which
gets a part after 7 days in that very moment, the document has to be sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from spanstream.runtime import metrics
from spanstream.store.points import Failure, Head, State
from spanstream.store.retention import Body
from spanstream.store.store import Store

WAITING_DAYS = 7.0
PASS_SECONDS = 86_400.0  # from the begin of a pass to the next, if it has ended
STAGE, REASON = "indexer", "PARTS_MISSING"


class Sweeper:
    """One look each call of `step`. Raises what the store does; the rest of the pass is then left to the next one."""

    def __init__(
        self, store: Store, alone: AbstractContextManager[object], now_us: Callable[[], int], limit: int
    ) -> None:
        """`alone`: the handler waits while it is held. `limit`: passages of one look."""
        self._store = store
        self._stored = store.retention()
        self._alone = alone
        self._now_us = now_us
        self._limit = limit
        self._left: Iterator[Body] = iter(())
        self._began_at = float("-inf")  # microseconds

    def step(self) -> None:
        """Look once."""
        now = self._now_us()
        found = set(islice(self._left, self._limit))  # 1
        if not found:
            if now - self._began_at >= PASS_SECONDS * 1e6:
                self._left, self._began_at = self._stored.bodies(), now
            return
        with self._alone:
            heads = self._store.heads([body.key for body in found])  # 2
            self._store.delete_stale([heads[body.key] for body in found if _below(body, heads.get(body.key))])  # 3
            for body in found:
                if _above(body, heads.get(body.key)):
                    self._wait(body, now)  # 4

    def _wait(self, body: Body, now: int) -> None:
        if not self._stored.forget_waiting(body, now - int(WAITING_DAYS * 86_400e6)):
            self._stored.waits(body, now)
            return
        metrics.INDEXER_PARTS_MISSING.inc()
        detail = f"parts of this version did not arrive within {WAITING_DAYS:.0f} days: send the document again"
        failure = Failure(body.version, STAGE, REASON, detail, now, body.groups)
        self._store.record_failures([(body.key, failure)])


def _below(body: Body, head: Head | None) -> bool:
    """The head leaves it behind."""
    if head is None or head.state is State.ABSENT or body.order > head.order:
        return False
    named = (body.version, body.content_hash) == (head.body_version, head.content_hash)
    return head.state is State.DELETED or not named


def _above(body: Body, head: Head | None) -> bool:
    """No head has reached it."""
    return head is None or head.state is State.ABSENT or body.order > head.order
