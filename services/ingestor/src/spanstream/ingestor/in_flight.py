"""Whether an event of a document may still be on its way to the index: if none is, its head tells the whole truth.

For a partition p of documents.v1 let E be its end, asked after the request arrived. `clean[p]` is an offset up to
which every event is known to be applied. Events from clean[p] to E are either this process's own, whose keys it
remembers, or foreign. So a key has nothing in flight if clean[p] is known, nothing from there to E is foreign, and
the key is not among the own ones. Whatever is not known counts as in flight, which only costs a publish.

clean[p] advances to E when, asked in this order, the ingestor has committed documents.v1 up to E, the embedder
passages.v1 up to its end, the indexer embeddings.v1 and failures.v1 up to their ends, and passages.v1 still ends
where it did (the indexer may send a passage event round again). Every stage publishes before it commits, and a
document's events have the same partition number in every topic.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from spanstream.eventlog.log import Log, Position
from spanstream.eventlog.partitions import partition_of
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES

Offsets = dict[int, int]  # partition -> offset


class InFlight:
    """Thread-safe."""

    def __init__(
        self,
        log: Log,
        *,
        max_accepts: int = 200_000,
        refresh_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most `max_accepts` own events are remembered; a refresh costs nine short questions to the log."""
        self._log = log
        self._max_accepts = max_accepts
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._clean: Offsets = {}
        self._own: dict[int, list[int]] = {}  # partition -> offsets of own events from clean on, rising
        self._last: dict[bytes, Position] = {}  # key -> its last own event
        self._refreshed = float("-inf")

    def accepted(self, key: bytes, position: Position) -> None:
        """Remember an own event, once the log has acknowledged it and before anyone is told."""
        with self._lock:
            if len(self._last) >= self._max_accepts or sum(map(len, self._own.values())) >= self._max_accepts:
                self._own, self._last = {}, {}  # forgotten events count as foreign
            insort(self._own.setdefault(position.partition, []), position.offset)
            before = self._last.get(key)
            if before is None or before.offset < position.offset:
                self._last[key] = position

    def quiet(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that have nothing in flight. May raise the log's errors. Read their heads afterwards."""
        ends = self._log.end_offsets(DOCUMENTS.name)
        quiet = self._quiet(keys, ends)
        if len(quiet) < len(set(keys)) and self._may_refresh():
            self._refresh()
            quiet = self._quiet(keys, ends)
        return quiet

    def _quiet(self, keys: Sequence[bytes], ends: Offsets) -> set[bytes]:
        with self._lock:
            known = {partition for partition, end in ends.items() if self._foreign(partition, end) == 0}
            return {key for key in keys if (p := partition_of(key, len(ends))) in known and not self._among_own(key, p)}

    def _foreign(self, partition: int, end: int) -> int | None:
        """Events of others between clean and `end`; None where clean is unknown."""
        clean = self._clean.get(partition)
        if clean is None:
            return None
        if end <= clean:
            return 0
        own = self._own.get(partition, [])
        return (end - clean) - (bisect_left(own, end) - bisect_left(own, clean))

    def _among_own(self, key: bytes, partition: int) -> bool:
        last = self._last.get(key)
        return last is not None and last.offset >= self._clean[partition]

    def _may_refresh(self) -> bool:
        with self._lock:
            due = self._clock() - self._refreshed >= self._refresh_seconds
            if due:
                self._refreshed = self._clock()
            return due

    def _refresh(self) -> None:
        reached = self._applied()
        with self._lock:
            for partition, offset in reached.items():
                self._clean[partition] = max(offset, self._clean.get(partition, 0))
                own = self._own.get(partition, [])
                del own[: bisect_left(own, self._clean[partition])]
            self._last = {
                key: position
                for key, position in self._last.items()
                if position.offset >= self._clean.get(position.partition, 0)
            }

    def _applied(self) -> Offsets:
        """Partition -> an offset of documents.v1 below which everything is applied, where that can be said."""
        documents = self._log.end_offsets(DOCUMENTS.name)
        applied = _reached(self._log.committed("ingestor", DOCUMENTS.name), documents)
        passages = self._log.end_offsets(PASSAGES.name)
        applied &= _reached(self._log.committed("embedder", PASSAGES.name), passages)
        for topic in (EMBEDDINGS.name, FAILURES.name):
            ends = self._log.end_offsets(topic)
            applied &= _reached(self._log.committed("indexer", topic), ends)
        again = self._log.end_offsets(PASSAGES.name)
        return {p: documents[p] for p in applied if again.get(p) == passages.get(p)}


def _reached(committed: Offsets, ends: Offsets) -> set[int]:
    return {partition for partition, end in ends.items() if committed.get(partition, 0) >= end}
