"""Between event messages and the bytes of a record: key, value and headers.

Wire form: the record key is `Key.encode()`, the value the serialised protobuf message, the headers name the message
(`message`), its schema (`schema`) and the trace (`traceparent`). A direct producer may leave the headers out: the
topic then says which message it is. Schema versions: `<topic>.v1` carries schema 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from spanstream.events import topics
from spanstream.events.errors import InvalidKey, Undecodable
from spanstream.events.ids import CONTENT_HASH_BYTES, MAX_VERSION, Key
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_ENVELOPE_UNREADABLE,
    REASON_SCHEMA_INVALID,
    REASON_SCHEMA_UNKNOWN,
    REASON_TENANT_MISMATCH,
    REASON_VERSION_OUT_OF_RANGE,
    FailureEvent,
    Reason,
)
from spanstream.events.v1.passage_pb2 import PassageEvent

SCHEMA = "1"
Headers = tuple[tuple[str, bytes], ...]
M = TypeVar("M", DocumentEvent, PassageEvent, EmbeddingEvent)


class _Identified(Protocol):
    tenant: str
    source: str
    id: str


def key_of(event: _Identified) -> Key:
    """The checked key of a message that carries tenant, source and id."""
    return Key.checked(event.tenant, event.source, event.id)


def headers(message: Message, trace: Mapping[str, str] | None = None) -> Headers:
    """Record headers for `message`; `trace` holds W3C trace context fields."""
    named = [("message", message.DESCRIPTOR.full_name.encode()), ("schema", SCHEMA.encode())]
    return (*named, *((name, value.encode()) for name, value in (trace or {}).items()))


def decode(kind: type[M], key: bytes | None, value: bytes | None, headers: Headers = ()) -> M:
    """The message of a record, its envelope checked; raises Undecodable with the reason class.

    Checked here, because every consumer relies on it: readable bytes, known schema, identity within limits and equal
    to the record key, version in 0..2^53-1, a known operation, a content hash of 32 bytes (or none on a document).
    """
    name = kind.DESCRIPTOR.full_name
    told = dict(headers)
    if told.get("message", name.encode()) != name.encode() or told.get("schema", SCHEMA.encode()) != SCHEMA.encode():
        raise Undecodable(REASON_SCHEMA_UNKNOWN, f"the headers name another message or schema than {name} {SCHEMA}")
    if key is None or value is None:
        raise Undecodable(REASON_ENVELOPE_UNREADABLE, "the record has no key or no value; a delete is an event")
    event = kind()
    try:
        event.ParseFromString(value)
    except DecodeError as error:
        raise Undecodable(REASON_ENVELOPE_UNREADABLE, f"the value is not a {name}") from error
    _check(event.origin if isinstance(event, EmbeddingEvent) else event, key)
    return event


def decode_failure(value: bytes | None) -> FailureEvent:
    """The failure event of a record; raises Undecodable. Its identity is informative and may be empty."""
    try:
        return FailureEvent.FromString(value or b"")
    except DecodeError as error:
        raise Undecodable(REASON_ENVELOPE_UNREADABLE, "the value is not a FailureEvent") from error


def envelope(topic: str, value: bytes | None) -> DocumentEvent | PassageEvent | None:
    """What says which document a record of `topic` is about, unchecked; None where the value cannot be read."""
    if value is None:
        return None
    try:
        match topic:
            case topics.DOCUMENTS.name:
                return DocumentEvent.FromString(value)
            case topics.PASSAGES.name:
                return PassageEvent.FromString(value)
            case topics.EMBEDDINGS.name:
                return EmbeddingEvent.FromString(value).origin
    except DecodeError:
        pass
    return None


def _check(event: DocumentEvent | PassageEvent, key: bytes) -> None:
    try:
        inner = key_of(event)
    except InvalidKey as error:
        raise Undecodable(REASON_SCHEMA_INVALID, str(error)) from error
    try:
        outer = Key.decode(key)
    except InvalidKey as error:
        raise Undecodable(REASON_ENVELOPE_UNREADABLE, str(error)) from error
    if outer != inner:
        raise Undecodable(REASON_TENANT_MISMATCH, "the record key names another document than the event")
    if not 0 <= event.version <= MAX_VERSION:
        raise Undecodable(REASON_VERSION_OUT_OF_RANGE, "version must be an integer from 0 to 2^53-1")
    if event.operation not in (OPERATION_UPSERT, OPERATION_DELETE):
        raise Undecodable(REASON_SCHEMA_INVALID, "operation must be UPSERT or DELETE")
    empty_allowed = isinstance(event, DocumentEvent)
    if len(event.content_hash) != CONTENT_HASH_BYTES and not (empty_allowed and not event.content_hash):
        raise Undecodable(REASON_SCHEMA_INVALID, f"content_hash must have {CONTENT_HASH_BYTES} bytes")


def reason_name(reason: int) -> str:
    """A dead letter's reason as people and programs are told it; a newer release's by its number."""
    return Reason.Name(reason).removeprefix("REASON_") if reason in Reason.values() else str(reason)
