"""Deletes that no source asked for, on `documents.v1` like any other, so that every stage has its part in them."""

from __future__ import annotations

from spanstream.eventlog.log import Outgoing
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent


def delete(key: Key, version: int, now_us: int) -> Outgoing:
    """It beats an upsert of the same version and older ones, and no other. `now_us`: microseconds since 1970; 0: not told."""
    tenant, source, id = key
    event = DocumentEvent(
        tenant=tenant, source=source, id=id, version=version, operation=OPERATION_DELETE, accepted_at_us=now_us
    )
    return Outgoing(DOCUMENTS.name, key.encode(), event.SerializeToString(), headers(event))
