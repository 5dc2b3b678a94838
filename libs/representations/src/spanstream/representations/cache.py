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
_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (key BLOB PRIMARY KEY, sums BLOB NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON windows (used);
"""


class WindowCache:
    """Rows' pooled sums in a file below `folder`, the least recently used going first. Thread-safe, and processes may share it."""

    def __init__(self, folder: Path, limit_bytes: int, count: Count = lambda hits, misses: None) -> None:
        """`limit_bytes` of vectors on disk; `count(hits, misses)` is called after each lookup."""
        self._path = folder / _FILE
        self._limit = limit_bytes
        self._count = count
        self._lock = threading.Lock()
        self._bytes = 0
        self._file: sqlite3.Connection | None = None
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.DatabaseError:  # not a database, or damaged: what it held can be computed again
            self._path.unlink(missing_ok=True)
            self._open()

    def get(self, keys: Sequence[bytes], width: int) -> dict[bytes, Sums]:
        """Of these keys the sums [p, width] that are known."""
        found: dict[bytes, Sums] = {}
        now = time.time()
        with self._lock:
            if self._file is None:
                return found
            try:
                for start in range(0, len(keys), _ASKED):
                    asked = keys[start : start + _ASKED]
                    marks = ",".join("?" * len(asked))
                    rows = self._file.execute(f"SELECT key, sums FROM windows WHERE key IN ({marks})", asked)
                    found |= {key: np.frombuffer(sums, "<f4").reshape(-1, width) for key, sums in rows}
                with _transaction(self._file) as file:
                    file.executemany("UPDATE windows SET used = ? WHERE key = ?", [(now, key) for key in found])
            except sqlite3.Error as error:
                self._give_up(error)
        self._count(len(found), len(keys) - len(found))
        return found

    def put(self, rows: Iterable[tuple[bytes, Sums]]) -> None:
        """Remember; what was used least goes beyond the bound."""
        now = time.time()
        values = [(key, sums.astype("<f4").tobytes(), now) for key, sums in rows]
        with self._lock:
            if self._file is None:
                return
            try:
                with _transaction(self._file) as file:
                    file.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", values)
                    self._bytes += sum(len(sums) for _, sums, _ in values)
                    if self._bytes > self._limit:
                        self._evict(file)
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Close the file; idempotent. Nothing is found any more."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> None:
        file = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = OFF")  # a power cut may cost the cache, never a wrong answer
            file.executescript(_SCHEMA)
            self._bytes = self._held(file)
        except BaseException:
            file.close()
            raise
        self._file = file

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
        file, self._file = self._file, None
        if file is not None:
            file.close()


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
