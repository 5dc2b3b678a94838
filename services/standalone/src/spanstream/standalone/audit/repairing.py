"""Sends again what mends a difference: the winning event as it was written, through the log like any other.

The index compares versions, so whatever came since wins, and doing it twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from spanstream.eventlog import sizes
from spanstream.eventlog.dead_letters import REPLAY
from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Log, Outgoing, Producer, Record
from spanstream.events.topics import DOCUMENTS
from spanstream.indexer.deletes import delete
from spanstream.standalone.audit.reading import POLL_SECONDS, RECORDS, SILENT_SECONDS, Progress, silent
from spanstream.standalone.audit.verdicts import Difference

BATCH_SECONDS = 0.1  # of the rate: what is sent at once
LOOK_SECONDS = 1.0  # between two calls of `progress` while it waits for its turn


def mendable(difference: Difference, *, delete_unlogged: bool) -> bool:
    """Whether something that can be sent mends it."""
    return difference.event is not None or (delete_unlogged and difference.unlogged)


def send(
    log: Log,
    producer: Producer,
    differences: Sequence[Difference],
    rate: float,
    *,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send what mends these, `rate` records a second; how many. Of those without an event: a delete.

    `progress` is called at least every LOOK_SECONDS, and may end it by raising. Raises the log's errors.
    """
    began, sent = clock(), 0
    batch: list[Outgoing] = []
    most = max(1, int(rate * BATCH_SECONDS))
    for message in _messages(log, differences, clock):
        batch.append(message)
        if len(batch) == most:
            sent += _publish(producer, batch)
            progress("sent again", sent, len(differences))
            while (left := sent / rate - (clock() - began)) > 0:
                sleep(min(left, LOOK_SECONDS))
                progress("sent again", sent, len(differences))
    return sent + _publish(producer, batch)


def _publish(producer: Producer, batch: list[Outgoing]) -> int:
    producer.publish(batch)
    count = len(batch)
    batch.clear()
    return count


def _messages(log: Log, differences: Sequence[Difference], clock: Callable[[], float]) -> Iterator[Outgoing]:
    for each in differences:
        if each.event is None:
            # At the version that is shown, where a delete beats an upsert; nobody accepted it.
            yield delete(each.key, each.shown or 0, 0)
    wanted = {(each.event.partition, each.event.offset) for each in differences if each.event}
    yield from map(_again, _records(log, wanted, clock))


def _records(log: Log, wanted: set[tuple[int, int]], clock: Callable[[], float]) -> Iterator[Record]:
    """The records at these places, in one pass; those that are gone are passed over."""
    if not wanted:
        return
    first = dict(sorted(wanted, reverse=True))  # the smallest offset of each partition comes last, and stays
    last = dict(sorted(wanted))
    reader = log.reader(DOCUMENTS.name, first, max_records=RECORDS)
    heard = clock()
    try:
        while any(reader.positions()[partition] <= offset for partition, offset in last.items()):
            records = reader.poll(POLL_SECONDS)
            if not records and clock() - heard > SILENT_SECONDS:
                raise LogUnavailable(
                    f"{DOCUMENTS.name} gives no more records, and has not been read to what is sent again"
                )
            for record in records:
                if (record.partition, record.offset) in wanted:
                    yield record
            heard = clock() if records else heard
    finally:
        reader.close()


def _again(record: Record) -> Outgoing:
    """As it was, and marked as one that does not count against a deploy if it fails, where there is room for that."""
    kept = tuple(header for header in record.headers if header[0] != REPLAY)
    key, value = record.key or b"", record.value or b""
    marked = Outgoing(DOCUMENTS.name, key, value, (*kept, (REPLAY, b"1")))
    fits = sizes.size(marked) <= sizes.limit(DOCUMENTS.name)
    return marked if fits else Outgoing(DOCUMENTS.name, key, value, kept)
