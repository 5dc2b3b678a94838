"""What a handler has found out about the records of polls that it puts back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from spanstream.eventlog.log import Record, Slot

T = TypeVar("T")


class Unfinished(Generic[T]):
    """One thing per record, until it is taken. It belongs to one loop.

    A poll that was put back is read again from its first record, but polls of other partitions may come before, and
    the loop may hand its records over one by one: so what is known stays until it is taken, or its partition is read
    beyond it. That bounds it by one poll per partition.
    """

    def __init__(self) -> None:
        self._known: dict[Slot, dict[int, T]] = {}  # by partition, then by offset

    def begin(self, records: Sequence[Record]) -> None:
        """Forget what lies before these in their partitions: it was finished, or another consumer finished it."""
        first: dict[Slot, int] = {}
        for record in records:
            first[record.slot] = min(record.offset, first.get(record.slot, record.offset))
        for slot, offset in first.items():
            known = self._known.pop(slot, {})
            if kept := {place: value for place, value in known.items() if place >= offset}:
                self._known[slot] = kept

    def get(self, record: Record) -> T | None:
        """What is known of the record."""
        return self._known.get(record.slot, {}).get(record.offset)

    def put(self, record: Record, value: T) -> None:
        """Remember this of the record."""
        self._known.setdefault(record.slot, {})[record.offset] = value

    def take(self, record: Record) -> T:
        """What is known of the record, which is then forgotten. Raises KeyError."""
        return self._known[record.slot].pop(record.offset)
