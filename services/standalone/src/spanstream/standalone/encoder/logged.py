"""The texts of the documents that the index holds, read from the log that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from spanstream.eventlog.log import Log
from spanstream.events.codec import decode
from spanstream.events.errors import Undecodable
from spanstream.events.ids import Order
from spanstream.events.topics import PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE
from spanstream.events.v1.passage_pb2 import PassageEvent

_WAIT = 1.0  # seconds for which one poll waits
_DIGEST_BYTES = 16


def texts(log: Log) -> Iterator[tuple[str, str]]:
    """Text and title of what was written up to now and neither replaced nor deleted; a long document's parts one by one.

    Read twice, to know the newest version of each before its text is told; holds about 200 bytes for each document.
    Raises EventLogError.
    """
    ends = log.end_offsets(PASSAGES.name)
    newest: dict[bytes, Order] = {}
    for key, event in _events(log, ends):
        newest[key] = max(_order(event), newest.get(key, Order(-1, 0, 0)))
    for key, event in _events(log, ends):
        if event.text and newest[key] == _order(event):
            yield event.text, event.title


def _events(log: Log, ends: dict[int, int]) -> Iterator[tuple[bytes, PassageEvent]]:
    reader = log.reader(PASSAGES.name, dict.fromkeys(ends, 0))
    try:
        while any(position < ends[partition] for partition, position in reader.positions().items()):
            for record in reader.poll(_WAIT):
                if record.offset >= ends[record.partition]:
                    continue
                try:
                    event = decode(PassageEvent, record.key, record.value, record.headers)
                except Undecodable:  # is among the failures; no index holds it
                    continue
                yield blake2b(record.key or b"", digest_size=_DIGEST_BYTES).digest(), event
    finally:
        reader.close()


def _order(event: PassageEvent) -> Order:
    return Order.of(event.version, event.content_hash, event.operation == OPERATION_DELETE)
