"""Topics from where they were read to, up to where they end now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Log, Record

POLL_SECONDS = 0.2
RECORDS = 500  # of one look
SILENT_SECONDS = 60.0  # without a record that must be there
Offsets = Mapping[int, int]  # partition -> offset that is read next
Feed = Callable[[Iterable[Record]], None]  # is told records
Progress = Callable[[str, int, int], None]  # what is done, how much, of how much; what it raises ends the work


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""


class Topics:
    """Where each topic was read to. One thread."""

    def __init__(self, log: Log, progress: Progress = silent, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._progress = progress
        self._clock = clock
        self.read_to: dict[str, Offsets] = {}
        self.oldest: dict[str, Offsets] = {}  # the first offset that was still there

    def read(self, feeds: Mapping[str, Feed]) -> None:
        """Tell each feed the records of its topic that are new since the last call. Raises the log's errors."""
        for topic, feed in feeds.items():
            ends = self._log.end_offsets(topic)
            start = self.read_to.get(topic, dict.fromkeys(ends, 0))
            if any(start.get(partition, 0) < end for partition, end in ends.items()):
                self._read(topic, start, ends, feed)
            else:
                self.read_to.setdefault(topic, dict(ends))
                self.oldest.setdefault(topic, dict.fromkeys(ends, 0))

    def _read(self, topic: str, start: Offsets, ends: Offsets, feed: Feed) -> None:
        reader = self._log.reader(topic, start, max_records=RECORDS)
        try:
            positions = reader.positions()
            self.oldest.setdefault(topic, dict(positions))
            total = sum(max(0, end - positions[partition]) for partition, end in ends.items())
            done, heard = 0, self._clock()
            while any(positions[partition] < end for partition, end in ends.items()):
                if records := reader.poll(POLL_SECONDS):
                    feed(records)
                    done, heard = done + len(records), self._clock()
                    self._progress(topic, min(done, total), total)
                elif self._clock() - heard > SILENT_SECONDS:
                    raise LogUnavailable(f"{topic} gives no more records, and has not been read to its end")
                positions = reader.positions()
            self.read_to[topic] = dict(positions)
        finally:
            reader.close()
