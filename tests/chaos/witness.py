"""What a pipeline has left behind, as a history's values: the whole index, and the dead letters."""

from __future__ import annotations

from collections.abc import Iterable

from spanstream.events import codec
from spanstream.events.ids import Key, Order
from spanstream.events.v1.failure_pb2 import FailureEvent, Reason
from spanstream.store.payloads import Payload, head_from, passage_from
from spanstream.store.points import State
from tests.chaos.history import DeadLetter, Head, Look, Stored


def look(at: int, documents: Iterable[Payload], passages: Iterable[tuple[str, Payload]]) -> Look:
    """The index at one moment, from the payloads of its points (of passages with their ids)."""
    heads = {}
    for payload in documents:
        head = head_from(payload)
        order = Order.of(head.version, head.content_hash, head.state is State.DELETED)
        heads[head.key] = Head(order, head.state.value, head.content_hash, head.body_version, head.passage_count)
    found = [(id, passage_from(payload)) for id, payload in passages]
    return Look(at, heads, [Stored(id, p.key, p.version, p.content_hash, p.ordinal) for id, p in found])


def dead_letter(event: FailureEvent) -> DeadLetter:
    """One that the topic holds."""
    inner = codec.envelope(event.topic, event.value)
    key = Key(event.tenant, event.source, event.id)
    reason = Reason.Name(event.reason).removeprefix("REASON_")
    return DeadLetter(key, event.version, reason, inner.content_hash if inner else b"")
