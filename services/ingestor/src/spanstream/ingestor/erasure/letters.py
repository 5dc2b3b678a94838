"""How many dead letters still keep the bytes of a document's records: counted in the log itself, resolved ones too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from spanstream.eventlog.log import Log, Record
from spanstream.eventlog.partitions import partition_of
from spanstream.events.codec import decode_failure
from spanstream.events.errors import Undecodable
from spanstream.events.ids import Key
from spanstream.events.topics import FAILURES

READ_SECONDS = 30.0
POLL_SECONDS = 0.2
RECORDS = 500  # of one look


@dataclass(frozen=True, slots=True)
class Letters:
    """How many, and when the newest was written, milliseconds since 1970."""

    count: int
    newest_ms: int


def count(
    log: Log, tenant: str, source: str | None, id: str | None, clock: Callable[[], float] = time.monotonic
) -> Letters | None:
    """Of all that is there now; None where there is more than could be read in time. Raises the log's errors."""
    of = _prefix(tenant, source, id)
    ends = log.end_offsets(FAILURES.name)
    if id is not None:
        partition = partition_of(of, len(ends))
        ends = {partition: ends[partition]}
    deadline = clock() + READ_SECONDS
    reader = log.reader(FAILURES.name, dict.fromkeys(ends, 0), max_records=RECORDS)
    found, newest = 0, 0
    try:
        while any(reader.positions()[partition] < end for partition, end in ends.items()):
            if clock() >= deadline:
                return None
            for record in reader.poll(POLL_SECONDS):
                if _keeps(record, of, whole=id is not None):
                    found, newest = found + 1, max(newest, record.timestamp_ms)
    finally:
        reader.close()
    return Letters(found, newest)


def _prefix(tenant: str, source: str | None, id: str | None) -> bytes:
    """What the keys of these records begin with; with an id it is the key."""
    if id is not None and source is not None:
        return Key(tenant, source, id).encode()
    return f"{tenant}/".encode() if source is None else f"{tenant}/{source}/".encode()  # names need no percent-encoding


def _keeps(record: Record, of: bytes, *, whole: bool) -> bool:
    key = record.key or b""
    if key != of if whole else not key.startswith(of):
        return False
    try:
        event = decode_failure(record.value)
    except Undecodable:
        return True  # whatever it is, it has the document's key
    return bool(event.value) and not event.resolution
