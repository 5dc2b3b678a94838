"""Sends again what mends a difference: the winning event as it was written, through the log like any other.

The index compares versions, so whatever came since wins, and doing it twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from spanstream.eventlog import sizes
from spanstream.eventlog.dead_letters import REPLAY
from spanstream.eventlog.log import Log, Outgoing, Producer, Record
from spanstream.events.codec import headers
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.standalone.audit.reading import POLL_SECONDS, RECORDS
from spanstream.standalone.audit.verdicts import Difference

BATCH_SECONDS = 0.1  # of the rate: what is sent at once


def mendable(difference: Difference, *, delete_unlogged: bool) -> bool:
    """Whether something that can be sent mends it."""
    return difference.event is not None or (delete_unlogged and difference.unlogged)


def send(
    log: Log,
    producer: Producer,
    differences: Sequence[Difference],
    rate: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send what mends these, `rate` records a second; how many. Of those without an event: a delete. Raises the log's errors."""
    began, sent = clock(), 0
    batch: list[Outgoing] = []
    most = max(1, int(rate * BATCH_SECONDS))
    for message in _messages(log, differences):
        batch.append(message)
        if len(batch) == most:
            sent += _publish(producer, batch)
            sleep(max(0.0, sent / rate - (clock() - began)))
    return sent + _publish(producer, batch)


def _publish(producer: Producer, batch: list[Outgoing]) -> int:
    producer.publish(batch)
    count = len(batch)
    batch.clear()
    return count


def _messages(log: Log, differences: Sequence[Difference]) -> Iterator[Outgoing]:
    for each in differences:
        if each.event is None:
            yield _delete(each)
    wanted = {(each.event.partition, each.event.offset) for each in differences if each.event}
    yield from map(_again, _records(log, wanted))


def _records(log: Log, wanted: set[tuple[int, int]]) -> Iterator[Record]:
    """The records at these places, in one pass; those that are gone are passed over."""
    if not wanted:
        return
    first = dict(sorted(wanted, reverse=True))  # the smallest offset of each partition comes last, and stays
    last = dict(sorted(wanted))
    reader = log.reader(DOCUMENTS.name, first, max_records=RECORDS)
    try:
        while any(reader.positions()[partition] <= offset for partition, offset in last.items()):
            for record in reader.poll(POLL_SECONDS):
                if (record.partition, record.offset) in wanted:
                    yield record
    finally:
        reader.close()


def _again(record: Record) -> Outgoing:
    """As it was, and marked as one that does not count against a deploy if it fails, where there is room for that."""
    kept = tuple(header for header in record.headers if header[0] != REPLAY)
    key, value = record.key or b"", record.value or b""
    marked = Outgoing(DOCUMENTS.name, key, value, (*kept, (REPLAY, b"1")))
    fits = sizes.size(marked) <= sizes.limit(DOCUMENTS.name)
    return marked if fits else Outgoing(DOCUMENTS.name, key, value, kept)


def _delete(difference: Difference) -> Outgoing:
    """Of what the log has never heard of: at the version that is shown, where a delete beats an upsert."""
    tenant, source, id = difference.key
    event = DocumentEvent(
        tenant=tenant, source=source, id=id, version=difference.shown or 0, operation=OPERATION_DELETE
    )
    return Outgoing(DOCUMENTS.name, difference.key.encode(), event.SerializeToString(), headers(event))
