"""What the log says of documents: the events of their keys, and which of these became dead letters. Pure.

Which event wins is `spanstream.events.ids.Order`; nothing here decides it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spanstream.eventlog.log import Record
from spanstream.events import codec
from spanstream.events.errors import Undecodable
from spanstream.events.ids import Key, Order, head_id
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.events.v1.failure_pb2 import REASON_VERSION_CONFLICT, RESOLUTION_REPLAYED
from spanstream.ingestor.documents import deleted_hash, event_hash
from spanstream.ingestor.failures.letter import Letter, Origin, Resolved, read
from spanstream.ingestor.metadata import InvalidMetadata, from_struct

ANY_HASH = -1  # of a blob that its event does not name the hash of
MAX_EVENTS = 32  # of a key that are remembered: the greatest, and those that failed go first


@dataclass(frozen=True, slots=True)
class Event:
    """Where in documents.v1 it lies, and where it stands among its key's. `order.hash52` may be ANY_HASH."""

    order: Order
    partition: int
    offset: int

    def is_shown_by(self, order: Order) -> bool:
        """Whether a head of this order shows it."""
        unknown = self.order.hash52 == ANY_HASH
        return self.order[:2] == order[:2] if unknown else self.order == order


def event_of(record: Record) -> tuple[Key, Event] | None:
    """What a record of documents.v1 says; None where no worker can read it."""
    try:
        event = codec.decode(DocumentEvent, record.key, record.value, record.headers)
    except Undecodable:
        return None
    deleted = event.operation == OPERATION_DELETE
    hashed = (event.content_hash or deleted_hash()) if deleted else _hash(event)
    order = Order.of(event.version, hashed or b"", deleted)
    if hashed is None:
        order = order._replace(hash52=ANY_HASH)
    return codec.key_of(event), Event(order, record.partition, record.offset)


def _hash(event: DocumentEvent) -> bytes | None:
    """As the parse worker computes it; of a blob, which it holds against the event's, the event's. None: not known."""
    if event.WhichOneof("body") == "blob":
        return event.content_hash or None
    try:
        metadata = from_struct(event.metadata)
    except InvalidMetadata:
        return None  # it is, or will be, a dead letter
    return event_hash(event, event.text.encode(), metadata)


@dataclass(slots=True)
class Known:
    """Of one key. `last`: partition and offset of its newest record."""

    key: Key | None = None
    events: list[Event] = field(default_factory=list)
    failed: dict[Origin, int] = field(default_factory=dict)  # the record that failed -> its version
    last: tuple[int, int] = (0, -1)

    def drop(self) -> None:
        """Forget one event."""
        good = self._good()
        self.events.remove(min(self.events, key=lambda each: (each in good, each.order)))

    def required(self) -> Event | None:
        """The greatest that did not fail: the index must show this, or a greater one of `events`."""
        return max(self._good(), key=lambda event: (event.order, event.offset), default=None)

    def _good(self) -> list[Event]:
        """Those that did not fail: of the parse worker's dead letters all events of that order, of others' the version."""
        places = {(each.partition, each.offset) for each in self.failed if each.topic == DOCUMENTS.name}
        orders = {event.order for event in self.events if (event.partition, event.offset) in places}
        versions = {version for each, version in self.failed.items() if each.topic != DOCUMENTS.name}
        return [each for each in self.events if each.order not in orders and each.order.version not in versions]

    def shown_by(self, order: Order) -> Event | None:
        """The newest event that a head of this order shows."""
        return next((event for event in reversed(self.events) if event.is_shown_by(order)), None)


class Histories:
    """Everything about a set of keys, fed with the records of documents.v1 and failures.v1 in their order."""

    def __init__(self, wanted: Iterable[int]) -> None:
        """`wanted`: ids of heads, as numbers."""
        self.known = {id: Known() for id in wanted}

    def documents(self, records: Iterable[Record]) -> None:
        """Records of documents.v1."""
        for record in records:
            found = event_of(record)
            if found is None or (known := self.known.get(head_id(found[0]).int)) is None:
                continue
            known.key, event = found
            known.events.append(event)
            known.last = (record.partition, record.offset)
            if len(known.events) > MAX_EVENTS:
                known.drop()

    def failures(self, records: Iterable[Record]) -> None:
        """Records of failures.v1."""
        for record in records:
            told = read(record)
            if told is None or (known := self.known.get(head_id(told.key).int)) is None:
                continue
            match told:
                # Of two contents of one version the order decides, not who is told of it.
                case Letter(reason=reason) if reason != REASON_VERSION_CONFLICT:
                    known.failed[told.origin] = told.version
                case Resolved(resolution=resolution) if resolution == RESOLUTION_REPLAYED:
                    known.failed.pop(told.origin, None)


class Winners:
    """The greatest event of each key, of a range of head ids that shrinks to as many as may be held."""

    def __init__(self, first: int, end: int, most: int) -> None:
        """Ids in [first, end); `most` of them at a time."""
        self.first, self.end = first, end
        self.orders: dict[int, Order] = {}
        self._most = most

    def documents(self, records: Iterable[Record]) -> None:
        """Records of documents.v1."""
        for record in records:
            if (found := event_of(record)) is None:
                continue
            id = head_id(found[0]).int
            if not self.first <= id < self.end:
                continue
            order = found[1].order
            if id not in self.orders or self.orders[id] < order:
                self.orders[id] = order
                if len(self.orders) > self._most:
                    self._shrink()

    def _shrink(self) -> None:
        """Leave the upper half of the ids to the next pass over the log."""
        ids = sorted(self.orders)
        self.end = ids[len(ids) // 2]
        self.orders = {id: order for id, order in self.orders.items() if id < self.end}
