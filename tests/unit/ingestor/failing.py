"""Dead letters as the consumers write them, on a log in memory."""

from __future__ import annotations

from spanstream.eventlog.dead_letters import dead_letter
from spanstream.eventlog.log import Headers, Outgoing, Position, Record, Rejected
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS, FAILURES
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_PARSE_FAILED,
    RESOLUTION_SUPERSEDED,
    FailureEvent,
    Reason,
)
from spanstream.ingestor.failures.letter import Letter, read


def document(key: Key, version: int = 3, groups: tuple[str, ...] = ()) -> DocumentEvent:
    return DocumentEvent(
        tenant=key.tenant,
        source=key.source,
        id=key.id,
        version=version,
        operation=OPERATION_UPSERT,
        text="Tides.",
        groups=groups,
    )


def failed(
    key: Key,
    version: int = 3,
    *,
    offset: int = 0,
    reason: Reason = REASON_PARSE_FAILED,
    groups: tuple[str, ...] = (),
    at_us: int = 1,
    value: bytes | None = None,
    more: Headers = (),
    topic: str = DOCUMENTS.name,
    detail: str = "page 3 cannot be read",
) -> Outgoing:
    """The dead letter of a record at `offset` of the topic."""
    event = document(key, version, groups)
    record = Record(
        topic,
        1,
        offset,
        key.encode(),
        event.SerializeToString() if value is None else value,
        (*headers(event), ("traceparent", b"00-aa-bb-01"), *more),
    )
    message = dead_letter(Rejected(record, reason, detail), stage="ingestor", failed_at_us=at_us)
    assert message is not None
    return message


def superseded(key: Key, version: int) -> Outgoing:
    event = FailureEvent(resolution=RESOLUTION_SUPERSEDED, version=version, resolved_at_us=9)
    return Outgoing(FAILURES.name, key.encode(), event.SerializeToString(), headers(event))


def write(log: MemoryLog, message: Outgoing) -> Position:
    return log.append(message.topic, message.key, message.value, message.headers)


def letter(message: Outgoing, offset: int = 0, partition: int = 0) -> Letter:
    """As the index remembers it, lying there."""
    found = read(Record(message.topic, partition, offset, message.key, message.value, message.headers))
    assert isinstance(found, Letter)
    return found


def everything(log: MemoryLog, topic: str) -> list[Record]:
    return sorted((record for part in log.topics[topic] for record in part), key=lambda each: each.timestamp_ms)
