"""What the records of one poll ask of the index: changes to documents, put into rounds that keep each key's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest

from spanstream.eventlog.log import Record
from spanstream.events.codec import decode, key_of
from spanstream.events.ids import Key, Order
from spanstream.events.v1.document_pb2 import OPERATION_DELETE
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.store.points import Head, State


class Kind(StrEnum):
    """What happens to the document."""

    UPSERT = "upsert"
    DELETE = "delete"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Part:
    """One record and its event: a whole document, a part of a long one, a delete, or the guess «unchanged»."""

    record: Record
    event: EmbeddingEvent = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Part:
        """Decode a record of embeddings.v1; raises Undecodable."""
        return cls(record, decode(EmbeddingEvent, record.key, record.value, record.headers))


@dataclass(frozen=True, slots=True)
class Change:
    """One version of one document, in as many parts as this poll brought of it."""

    key: Key
    kind: Kind
    version: int
    content_hash: bytes
    parts: list[Part]

    @classmethod
    def of(cls, part: Part) -> Change:
        """The change that a single part asks for."""
        origin = part.event.origin
        if origin.operation == OPERATION_DELETE:
            kind = Kind.DELETE
        else:
            kind = Kind.UNCHANGED if origin.unchanged else Kind.UPSERT
        return cls(key_of(origin), kind, origin.version, origin.content_hash, [part])

    @property
    def order(self) -> Order:
        """Where this change stands among its key's."""
        return Order.of(self.version, self.content_hash, self.kind is Kind.DELETE)

    def continues(self, other: Change) -> bool:
        """Whether both are parts of the same."""
        mine = (self.kind, self.version, self.content_hash)
        return mine == (other.kind, other.version, other.content_hash)

    def beats(self, head: Head | None) -> bool:
        """Whether this comes after what the head shows."""
        return head is None or head.state is State.ABSENT or self.order > head.order


def rounds(parts: Iterable[Part]) -> list[list[Change]]:
    """The n-th change of every key is in round n, so that a round has each key once and a key's changes keep their order.

    Neighbouring parts of one version are one change.
    """
    by_key: dict[Key, list[Change]] = {}
    for part in parts:
        change = Change.of(part)
        earlier = by_key.setdefault(change.key, [])
        if earlier and change.continues(earlier[-1]):
            earlier[-1].parts.append(part)
        else:
            earlier.append(change)
    return [[change for change in layer if change] for layer in zip_longest(*by_key.values())]
