"""Matches of standing queries as streams: one reader of `matches.v1` for each, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log, Reader, Record
from spanstream.events.ids import standing_id
from spanstream.events.topics import MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.ingestor.positions import Positions, decoded, encoded
from spanstream.runtime import metrics
from spanstream.runtime.identity import admitted
from spanstream.runtime.logs import get_logger

POLL_SECONDS = 0.5  # how long a stop, or a client that has gone, may stay unnoticed
HEARTBEAT_SECONDS = 15.0
RECORDS = 256  # of one look

log = get_logger()

T = TypeVar("T")


class TooManyStreams(Exception):
    """As many streams are open as there may be: try again later."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose matches: of the tenant; of documents that one of `groups` may see and of queries that a key of these groups
    saved (None: of all); of the queries of one name or of all.
    """

    tenant: str
    groups: tuple[str, ...] | None = None
    query: str | None = None

    def admits(self, event: MatchEvent) -> bool:
        """Whether the caller is told of it."""
        if event.tenant != self.tenant or self.query not in (None, event.query_id):
            return False
        if self.groups is None:
            return True
        own = event.query_uid == str(standing_id(self.tenant, self.groups, event.query_id))
        return own and admitted(event.groups, self.groups)


class Matches:
    """Opens streams, at most `most` at once."""

    def __init__(
        self, log: Log, *, most: int, stopping: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A stream ends once `stopping()`."""
        self._log = log
        self._most = most
        self.stopping = stopping
        self.clock = clock
        self._lock = threading.Lock()
        self._open = 0
        self._threads = ThreadPoolExecutor(max_workers=max(1, most), thread_name_prefix="matches")

    async def open(self, wanted: Wanted, position: str | None) -> Stream:
        """The stream from a position, or from now on; to be closed. Raises TooManyStreams, UnknownPosition, or the log's
        errors.
        """
        start = {} if position is None else decoded(position)
        with self._lock:
            if self._open >= self._most:
                raise TooManyStreams
            self._open += 1
        opening = self._threads.submit(lambda: self._log.reader(MATCHES.name, start, max_records=RECORDS))
        try:
            reader = await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:  # the caller has gone; the reader may still come
            opening.add_done_callback(self._abandoned)
            raise
        except BaseException:
            self._closed()
            raise
        metrics.INGESTOR_MATCH_STREAMS.inc()
        return Stream(self, reader, wanted)

    async def poll(self, reader: Reader, lock: threading.Lock) -> Sequence[Record]:
        """What has come. A call that nobody waits for any more ends before `lock` is free."""

        def poll() -> Sequence[Record]:
            with lock:
                return reader.poll(POLL_SECONDS)

        return await self._run(poll)

    def release(self, reader: Reader, lock: threading.Lock) -> None:
        """Close the reader, in the background."""

        def close() -> None:
            try:
                with lock:
                    reader.close()
            finally:
                metrics.INGESTOR_MATCH_STREAMS.dec()
                self._closed()

        try:
            self._threads.submit(close)
        except RuntimeError:  # the service is stopping
            close()

    def _abandoned(self, opening: Future[Reader]) -> None:
        try:
            if opening.exception() is None:
                opening.result().close()
        finally:
            self._closed()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _closed(self) -> None:
        with self._lock:
            self._open -= 1

    def close(self) -> None:
        """Wait for the readers to close; idempotent."""
        self._threads.shutdown(wait=True)


class Stream:
    """One caller's."""

    def __init__(self, matches: Matches, reader: Reader, wanted: Wanted) -> None:
        self._matches = matches
        self._reader = reader
        self._wanted = wanted
        self._lock = threading.Lock()  # of the reader
        self._released = False

    async def events(self) -> AsyncIterator[bytes]:
        """Until the service stops or the log does not answer: then the client comes back with the position that it has."""
        clock = self._matches.clock
        positions = dict(self._reader.positions())
        beat = clock()
        yield _block(positions)  # so that who loses the connection before the first match misses none
        while not self._matches.stopping():
            try:
                records = await self._matches.poll(self._reader, self._lock)
            except EventLogError as error:
                log.warning("stream_ended", error=type(error).__name__)
                return
            for record in records:
                positions[record.partition] = record.offset + 1
                event = _read(record)
                if event is not None and self._wanted.admits(event):
                    beat = clock()
                    yield _block(positions, event)
            if clock() - beat >= HEARTBEAT_SECONDS:
                beat = clock()
                yield _block(positions)

    def close(self) -> None:
        """Let go of the reader; idempotent."""
        if not self._released:
            self._released = True
            self._matches.release(self._reader, self._lock)


def _read(record: Record) -> MatchEvent | None:
    try:
        return MatchEvent.FromString(record.value or b"")
    except DecodeError:  # not the indexer's
        return None


def _block(positions: Positions, event: MatchEvent | None = None) -> bytes:
    """One event of the stream, or a heartbeat. Either says where to go on: a client keeps the last `id` that it saw."""
    if event is None:
        return f": here\nid: {encoded(positions)}\n\n".encode()
    told = {
        "match_id": event.match_id,
        "query": event.query_id,
        "query_uid": event.query_uid,
        "query_revision": event.query_revision,
        "source": event.source,
        "id": event.id,
        "version": event.version,
        "content_hash": event.content_hash.hex(),
        "title": event.title,
        "score": round(event.score, 6),
        "passage": {"ordinal": event.ordinal, "start": event.start, "end": event.end},
        "span": {"start": event.span_start, "end": event.span_end, "text": event.span_text},
        "indexed_at_us": event.indexed_at_us,
    }
    data = json.dumps(told, ensure_ascii=True, separators=(",", ":"))  # one line, whatever the text holds
    return f"event: match\nid: {encoded(positions)}\ndata: {data}\n\n".encode()
