"""Deletes what has expired, and forgets tombstones that nothing can meet any more.

Every indexer does it, without a leader: what two of them do is done twice, which changes nothing. Clocks say when, never
what wins: a document goes by a delete of the very version that was found, on `documents.v1`, like any other, so that a
newer version stays and a rebuild from the log comes to the same.

    1 delete documents whose own time is over
    2 once an hour delete documents of sources with a retention that are older, also those that only failed: their bytes
      are kept elsewhere
    3 once an hour forget tombstones

A tombstone is needed for as long as an older version of its document may come again: from a topic, from the dead
letters on their last day, whose record then lies in its topic for another retention, or with a backup; and 7 days more,
by which a source may be late with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from spanstream.eventlog.log import Log, Producer
from spanstream.events.ids import Key
from spanstream.events.topics import ALL
from spanstream.indexer.deletes import delete
from spanstream.runtime import metrics
from spanstream.store.points import Head, State
from spanstream.store.retention import Retention as Stored

DAY_US = 86_400_000_000
MARGIN_DAYS = 7.0  # for sources and groups that are late, and clocks that differ
HOUR_SECONDS = 3600.0  # between two looks at all tombstones, and all documents of sources with a retention
PUBLISH_SECONDS = 10.0
Source = tuple[str, str]  # tenant, source


def parse_retention(text: str) -> dict[Source, float]:
    """`tenant/source=days`, separated by commas. Raises ValueError."""
    found: dict[Source, float] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, days = entry.partition("=")
        tenant, slash, source = name.partition("/")
        try:
            length = float(days)
        except ValueError:
            length = 0.0
        if not (tenant and slash and source) or not 0 < length < float("inf") or (tenant, source) in found:
            raise ValueError("must be tenant/source=days, separated by commas, each source once")
        found[tenant, source] = length
    return found


def tombstone_seconds(kept: Iterable[float | None], backup_seconds: float) -> float | None:
    """How long a tombstone is needed, where topics keep their records for so many seconds each, None: for ever."""
    longest = 0.0
    for each in kept:
        if each is None:
            return None
        longest = max(longest, each)
    return max(2 * longest, backup_seconds) + MARGIN_DAYS * 86_400


class Retention:
    """One look each call of `step`. Raises what the store and the log do, and goes on with the next call."""

    def __init__(
        self,
        stored: Stored,
        log: Log,
        producer: Producer,
        now_us: Callable[[], int],
        *,
        sources: Mapping[Source, float],
        backup_days: float,
        limit: int,
    ) -> None:
        """`sources`: days by source; `limit`: documents, and tombstones, of one look."""
        self._stored = stored
        self._log = log
        self._producer = producer
        self._now_us = now_us
        self._sources = sources
        self._backup_seconds = backup_days * 86_400
        self._limit = limit
        self._done_at = float("-inf")  # microseconds; there was nothing left of 2 and 3 then
        self._asked: dict[tuple[Key, int], int] = {}  # deletes that are on their way, and since when in microseconds

    def step(self) -> None:
        """Look once."""
        now = self._now_us()
        self._asked = {mark: at for mark, at in self._asked.items() if now - at < HOUR_SECONDS * 1e6}
        room = self._limit + len(self._asked)
        found = self._stored.expired(now, room)  # 1
        hour = now - self._done_at >= HOUR_SECONDS * 1e6
        if hour:
            for (tenant, source), days in self._sources.items():  # 2
                found += self._stored.older(tenant, source, now - int(days * DAY_US), room - len(found))
        due = [mark for mark in map(_deleted, found) if mark not in self._asked][: self._limit]
        self._delete(due)
        self._asked |= dict.fromkeys(due, now)
        if hour:
            self._done_at = now  # also where the purge fails: it scans, and is tried again in an hour
            if self._purge(now) + len(due) >= self._limit:  # 3
                self._done_at = float("-inf")  # there is more

    def _delete(self, due: Sequence[tuple[Key, int]]) -> None:
        """Of those that have not reached the index in an hour another one is sent."""
        if not due:
            return
        messages = [delete(key, version, self._now_us()) for key, version in due]
        self._producer.publish(messages, PUBLISH_SECONDS)
        metrics.INDEXER_EXPIRED.inc(len(messages))

    def _purge(self, now: int) -> int:
        needed = tombstone_seconds((self._log.kept(topic.name) for topic in ALL), self._backup_seconds)
        purged = 0 if needed is None else self._stored.purge_tombstones(now - int(needed * 1e6), self._limit)
        metrics.INDEXER_TOMBSTONES_PURGED.inc(purged)
        return purged


def _deleted(head: Head) -> tuple[Key, int]:
    """The document, and the version to delete it at: what is shown, else what failed."""
    return head.key, head.version if head.state is State.LIVE else head.newest
