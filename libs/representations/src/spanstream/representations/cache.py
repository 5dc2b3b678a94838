"""What windows gave before: of an edited document only those whose text changed are read again.

The key of a row is its token ids, what is pooled of it and the model's fingerprint, so what is found is, bit for bit, what
would be computed. It is a cache: it is bounded, may be lost, and an error of its file only means that it finds nothing.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.rows import Row

log = logging.getLogger(__name__)

Sums = NDArray[np.float32]
Count = Callable[[int, int], None]

_FILE = "windows.sqlite"
_EVICTED = 0.1  # of the bound at once, so that it is seldom
_ASKED = 500  # keys in a query: SQLite takes 999
_WRITE_SECONDS = 0.5  # between transactions
_WAITING_BYTES = 16 << 20  # for the next: some seconds of what two cores compute
_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (key BLOB PRIMARY KEY, sums BLOB NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON windows (used);
"""


class WindowCache:
    """Rows' pooled sums in a file below `folder`, the least recently used going first. Thread-safe, and processes may share it.

    A thread of its own writes, some times a second: a transaction for each batch of the model would hold up the model.
    """

    def __init__(self, folder: Path, limit_bytes: int, count: Count = lambda hits, misses: None) -> None:
        """`limit_bytes` of vectors on disk; `count(hits, misses)` is called after each lookup."""
        self._path = folder / _FILE
        self._limit = limit_bytes
        self._count = count
        self._lock = threading.Lock()  # of what waits; held for moments only, since the model's threads take it
        self._reading = threading.Lock()  # of the connection that reads; taken before the other
        self._waiting: dict[bytes, Sums] = {}
        self._waiting_bytes = 0
        self._used: dict[bytes, float] = {}
        self._bytes = 0
        self._reader: sqlite3.Connection | None = None
        folder.mkdir(parents=True, exist_ok=True)
        try:
            writer = self._open()
        except sqlite3.DatabaseError:  # not a database, or damaged: what it held can be computed again
            self._path.unlink(missing_ok=True)
            writer = self._open()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_on, args=(writer,), name="encoder-cache", daemon=True)
        self._thread.start()

    def get(self, keys: Sequence[bytes], width: int) -> dict[bytes, Sums]:
        """Of these keys the sums [p, width] that are known."""
        now = time.time()
        with self._reading:
            if self._reader is None:
                return {}
            with self._lock:
                found = {key: self._waiting[key] for key in keys if key in self._waiting}
            try:
                for start in range(0, len(keys), _ASKED):
                    asked = keys[start : start + _ASKED]
                    marks = ",".join("?" * len(asked))
                    rows = self._reader.execute(f"SELECT key, sums FROM windows WHERE key IN ({marks})", asked)
                    found |= {key: np.frombuffer(sums, "<f4").reshape(-1, width) for key, sums in rows}
            except sqlite3.Error as error:
                self._give_up(error)
                return {}
        with self._lock:
            self._used |= dict.fromkeys(found, now)
        self._count(len(found), len(keys) - len(found))
        return found

    def put(self, rows: Iterable[tuple[bytes, Sums]]) -> None:
        """Remember; what was used least goes beyond the bound. Forgotten at once while the file cannot keep up."""
        now = time.time()
        with self._lock:
            if self._reader is None:
                return
            for key, sums in rows:
                if key not in self._waiting and self._waiting_bytes + sums.nbytes <= _WAITING_BYTES:
                    self._waiting[key] = sums
                    self._waiting_bytes += sums.nbytes
                    self._used[key] = now

    def close(self) -> None:
        """Write what waits and close the file; idempotent. Nothing is found any more."""
        self._closing.set()
        self._thread.join()

    def _open(self) -> sqlite3.Connection:
        writer = self._connect()
        try:
            writer.execute("PRAGMA journal_mode = WAL")  # the other connection reads meanwhile
            writer.execute("PRAGMA synchronous = OFF")  # a power cut may cost the cache, never a wrong answer
            writer.executescript(_SCHEMA)
            self._bytes = self._held(writer)
            self._reader = self._connect()
        except BaseException:
            writer.close()
            raise
        return writer

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)

    def _write_on(self, writer: sqlite3.Connection) -> None:
        with closing(writer):
            closing_now = False
            while not closing_now and self._reader is not None:
                closing_now = self._closing.wait(_WRITE_SECONDS)
                try:
                    self._write(writer)
                except sqlite3.Error as error:
                    with self._reading:
                        self._give_up(error)
        with self._reading:
            self._stop_reading()

    def _write(self, writer: sqlite3.Connection) -> None:
        with self._lock:
            values, used = list(self._waiting.items()), self._used
            self._used = {}
        if not values and not used:
            return
        with _transaction(writer):
            rows = [(key, sums.astype("<f4").tobytes(), used.pop(key)) for key, sums in values]
            writer.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", rows)
            writer.executemany("UPDATE windows SET used = ? WHERE key = ?", [(when, key) for key, when in used.items()])
            self._bytes += sum(len(sums) for _, sums, _ in rows)
            if self._bytes > self._limit:
                self._evict(writer)
        with self._lock:  # not before: until now the file did not have them
            for key, sums in values:
                self._waiting.pop(key, None)
                self._waiting_bytes -= sums.nbytes

    def _evict(self, file: sqlite3.Connection) -> None:
        surplus = self._held(file) - self._limit * (1 - _EVICTED)
        with closing(file.execute("SELECT key, length(sums) FROM windows ORDER BY used")) as oldest:
            gone = []
            for key, size in oldest:
                if surplus <= 0:
                    break
                surplus -= size
                gone.append((key,))
        file.executemany("DELETE FROM windows WHERE key = ?", gone)
        self._bytes = self._held(file)

    @staticmethod
    def _held(file: sqlite3.Connection) -> int:
        (total,) = file.execute("SELECT coalesce(sum(length(sums)), 0) FROM windows").fetchone()
        return int(total)

    def _give_up(self, error: sqlite3.Error) -> None:
        log.warning("the cache of windows is off from here on: %s", error)
        self._stop_reading()

    def _stop_reading(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
            self._waiting.clear()
        if reader is not None:
            reader.close()


@contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    file.execute("BEGIN IMMEDIATE")  # which waits for another process, where a later upgrade would fail
    yield file
    file.execute("COMMIT")  # after an error the file is closed, which rolls back


def key_of(fingerprint: str, row: Row) -> bytes:
    """[20 bytes] of a row of the model with this fingerprint."""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=20)
    digest.update(len(row.ids).to_bytes(4, "little"))
    for part in (row.ids, row.pieces.bounds, row.pieces.weights):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.digest()
