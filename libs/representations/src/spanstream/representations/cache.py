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
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.errors import CacheUnusable
from spanstream.representations.rows import Row

log = logging.getLogger(__name__)

Sums = NDArray[np.float32]
Count = Callable[[int, int], None]

_FILE = "windows.sqlite"
# This part of the bound goes at once, so that it is seldom; and so much is written before the file is measured again,
# since other processes write to it too.
_SHARE = 0.1
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SUM = 4  # bytes behind a row's numbers
_ASKED = 500  # keys in a query: SQLite takes 999
_LOOK_SECONDS = 3600.0  # between two looks for what nobody uses
_WRITE_SECONDS = 0.5  # between transactions
_WAITING_BYTES = 16 << 20  # for the next: some seconds of what two cores compute
# SQLite's own log of one such transaction is at most this long. It begins it again only between transactions, and of
# several processes one is always in the middle of one: of two that wrote all the time it was 186 MB within a minute.
_LOG_BYTES = 64 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (key BLOB PRIMARY KEY, sums BLOB NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON windows (used);
"""


class WindowCache:
    """Rows' pooled sums in a file below `folder`, the least recently used going first. Thread-safe, and processes may share it.

    A thread of its own writes, some times a second: a transaction for each batch of the model would hold up the model.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        count: Count = lambda hits, misses: None,
        unused_seconds: float = float("inf"),
    ) -> None:
        """`limit_bytes` of vectors on disk; `count(hits, misses)` is called after each lookup. What was used by nobody for
        `unused_seconds` is deleted within an hour: texts may be erased, and nothing here says whose they were. Raises
        CacheUnusable.
        """
        self._path = folder / _FILE
        self._limit = limit_bytes
        self._count = count
        self._lock = threading.Lock()  # of what waits; held for moments only, since the model's threads take it
        self._reading = threading.Lock()  # of the connection that reads; taken before the other
        self._waiting: dict[bytes, bytes] = {}
        self._waiting_bytes = 0
        self._used: dict[bytes, float] = {}
        self._unused = unused_seconds
        self._looked = float("-inf")  # for what nobody uses
        self._room = 0.0  # bytes to write until the file is measured
        self._reader: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writer = self._open_or_begin_anew()
        except (OSError, sqlite3.Error) as error:
            raise CacheUnusable(f"the cache of windows cannot be kept in {folder}: {error}") from error
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
            others = [key for key in keys if key not in found]
            try:
                for start in range(0, len(others), _ASKED):
                    asked = others[start : start + _ASKED]
                    marks = ",".join("?" * len(asked))
                    found |= self._reader.execute(f"SELECT key, sums FROM windows WHERE key IN ({marks})", asked)
            except sqlite3.Error as error:
                self._give_up(error)
                return {}
        found = {key: kept for key, kept in found.items() if _is_whole(key, kept)}
        with self._lock:
            self._used |= dict.fromkeys(found, now)
        hits = sum(key in found for key in keys)
        self._count(hits, len(keys) - hits)
        return {key: np.frombuffer(kept[:-_SUM], "<f4").reshape(-1, width) for key, kept in found.items()}

    def put(self, rows: Iterable[tuple[bytes, Sums]]) -> None:
        """Remember; what was used least goes beyond the bound. Forgotten at once while the file cannot keep up."""
        now = time.time()
        with self._lock:
            if self._reader is None:
                return
            for key, sums in rows:
                if key not in self._waiting and self._waiting_bytes + sums.nbytes <= _WAITING_BYTES:
                    numbers = sums.astype("<f4").tobytes()  # a copy: of a whole batch's array `sums` may be a part
                    self._waiting[key] = numbers + _sum(key, numbers)
                    self._waiting_bytes += len(self._waiting[key])
                    self._used[key] = now

    def close(self) -> None:
        """Write what waits and close the file; idempotent. Nothing is found any more."""
        self._closing.set()
        self._thread.join()

    def _open_or_begin_anew(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:  # which has many causes: a file in use, say, must not go
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:  # the rest of the code is where
                raise
            self._delete()
            return self._open()

    def _delete(self) -> None:
        """What it held can be computed again."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(_FILE + suffix).unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        writer = self._connect()
        try:
            writer.execute("PRAGMA journal_mode = WAL")  # the other connection reads meanwhile
            writer.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            writer.execute("PRAGMA synchronous = NORMAL")  # a power cut costs the last rows; OFF could leave wrong ones
            writer.executescript(_SCHEMA)
            self._reader = self._connect()
        except BaseException:
            writer.close()
            raise
        return writer

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)

    def _write_on(self, writer: sqlite3.Connection) -> None:
        try:
            ending = False
            while not ending and self._reader is not None:
                ending = self._closing.wait(_WRITE_SECONDS)
                self._write(writer)
                self._forget_unused(writer)
        except sqlite3.Error as error:
            with self._reading:
                self._give_up(error)
        finally:
            writer.close()
            with self._reading:
                self._stop_reading()

    def _write(self, writer: sqlite3.Connection) -> None:
        with self._lock:
            values, used = list(self._waiting.items()), self._used
            self._used = {}
        if not values and not used:
            return
        with _transaction(writer):
            rows = [(key, sums, used.pop(key)) for key, sums in values]
            writer.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", rows)
            writer.executemany("UPDATE windows SET used = ? WHERE key = ?", [(when, key) for key, when in used.items()])
            self._room -= sum(len(sums) for _, sums in values)
            if self._room < 0:
                self._room = self._made_room(writer)
        if self._log_bytes() > _LOG_BYTES:
            # Which waits for the others; its answer is no error.
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with self._lock:  # not before: until now the file did not have them
            for key, sums in values:
                self._waiting.pop(key, None)
                self._waiting_bytes -= len(sums)

    def _forget_unused(self, writer: sqlite3.Connection) -> None:
        now = time.time()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            with _transaction(writer):
                writer.execute("DELETE FROM windows WHERE used < ?", (now - self._unused,))

    def _log_bytes(self) -> int:
        try:
            return self._path.with_name(f"{_FILE}-wal").stat().st_size
        except FileNotFoundError:  # someone has tidied the folder: the next read says so
            return 0

    def _made_room(self, file: sqlite3.Connection) -> float:
        """Delete what was used least if the bound is passed; how many bytes to write until the next look."""
        share, held = self._limit * _SHARE, self._held(file)
        if held > self._limit:
            self._evict(file, held - self._limit + share)
            held = self._held(file)
        return min(share, self._limit - held)

    @staticmethod
    def _evict(file: sqlite3.Connection, surplus: float) -> None:
        with closing(file.execute("SELECT key, length(sums) FROM windows ORDER BY used")) as oldest:
            gone = []
            for key, size in oldest:
                if surplus <= 0:
                    break
                surplus -= size
                gone.append((key,))
        file.executemany("DELETE FROM windows WHERE key = ?", gone)

    @staticmethod
    def _held(file: sqlite3.Connection) -> int:
        (total,) = file.execute("SELECT coalesce(sum(length(sums)), 0) FROM windows").fetchone()
        return int(total)

    def _give_up(self, error: sqlite3.Error) -> None:
        log.warning("the cache of windows in %s is off from here on: %s", self._path, error)
        self._stop_reading()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            self._delete()  # else each start would find it so, and go without

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


def _sum(key: bytes, numbers: bytes) -> bytes:
    """Tells numbers that the disk has changed, which SQLite does not see: they would be wrong vectors."""
    return zlib.crc32(numbers, zlib.crc32(key)).to_bytes(_SUM, "little")


def _is_whole(key: bytes, kept: bytes) -> bool:
    return kept[-_SUM:] == _sum(key, kept[:-_SUM])


def key_of(fingerprint: str, row: Row) -> bytes:
    """[20 bytes] of a row of the model with this fingerprint."""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=20)
    digest.update(len(row.ids).to_bytes(4, "little"))
    for part in (row.ids, row.pieces.bounds, row.pieces.weights):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.digest()
