"""Keeps the index of open dead letters up with the log, whenever it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log, Reader
from spanstream.events.topics import FAILURES
from spanstream.ingestor.failures.index import FailureIndex
from spanstream.ingestor.failures.letter import Letter

READ_SECONDS = 10.0  # of one question; what was read by then is kept
POLL_SECONDS = 0.2
RECORDS = 500  # of one look


class StillReading(Exception):
    """There is more in the log than could be read in time: ask again."""


@dataclass(frozen=True, slots=True)
class Open:
    """A tenant's open dead letters, of all that lie before `until` (partition -> offset); `left_out`: there are more."""

    letters: list[Letter]
    left_out: bool
    until: Mapping[int, int]


class Following:
    """Thread-safe. Nothing is read before the first question; later ones read what has come since."""

    def __init__(self, log: Log, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`max_bytes` of memory for dead letters, without their records."""
        self._log = log
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._positions: Mapping[int, int] = {}
        self._begin_anew()

    def open(self, tenant: str) -> Open:
        """All of now. Raises StillReading, or the log's errors."""
        with self._lock:
            ends = self._log.end_offsets(FAILURES.name)
            another = any(self._positions.get(partition, 0) > end for partition, end in ends.items())
            if another:  # another topic of the same name: it was deleted and made anew
                self._begin_anew()
            elif self._index.may_hold_more:
                self._positions = {**self._positions, **self._index.go_back()}
                self._close_reader()
            self._read_to(ends)
            return Open(self._index.open(tenant), self._index.left_out(tenant), ends)

    def remove(self, letters: Iterable[Letter]) -> None:
        """These are open no more, before the log says so."""
        with self._lock:
            for letter in letters:
                self._index.remove(letter)

    def close(self) -> None:
        """Close the connection; idempotent."""
        with self._lock:
            self._close_reader()

    def _begin_anew(self) -> None:
        self._index = FailureIndex(self._max_bytes)
        self._positions = {}
        self._close_reader()

    def _read_to(self, ends: Mapping[int, int]) -> None:
        deadline = self._clock() + READ_SECONDS
        try:
            if self._reader is None:
                start = dict.fromkeys(ends, 0) | dict(self._positions)
                self._reader = self._log.reader(FAILURES.name, start, max_records=RECORDS)
            self._positions = self._reader.positions()
            while any(self._positions[partition] < end for partition, end in ends.items()):
                if self._clock() >= deadline:
                    raise StillReading
                self._index.apply(self._reader.poll(POLL_SECONDS))
                self._positions = self._reader.positions()
        except EventLogError:
            self._close_reader()
            raise

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
