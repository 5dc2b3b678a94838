"""Batches of records as kafka-python reads them, but for names of headers that are no UTF-8.

Brokers take such a record, and kafka-python 3.0.12 can read neither it nor what lies behind it in its batch: whoever may write
to a topic would end every consumer of it, at each start again.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint


class Batch(DefaultRecordBatch):  # type: ignore[misc]  # the client has no types
    """Reads "?" for each byte beyond ASCII in the names of a record's headers where one of them is no UTF-8."""

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            _make_readable(self._buffer, self._pos)  # of the batch, whose checksum has been compared by now
            return super()._read_msg()


def _make_readable(buffer: bytearray, at: int) -> None:
    """In place, the record at `at`: length, attributes, times and offset, key, value; then the headers."""
    for _ in range(4):
        _, at = decode_varint(buffer, at)
    for _ in range(2):
        at = _behind(buffer, at)
    count, at = decode_varint(buffer, at)
    for _ in range(count):
        length, start = decode_varint(buffer, at)
        name = buffer[start : start + length]
        buffer[start : start + length] = bytes(byte if byte < 0x80 else ord("?") for byte in name)
        at = _behind(buffer, start + length)


def _behind(buffer: bytearray, at: int) -> int:
    """Behind bytes that have their length in front; -1: there are none."""
    length, at = decode_varint(buffer, at)
    return at + max(0, int(length))


def install() -> None:
    """The client has no place where a batch's class is said; from now on all of this process's consumers have this one."""
    memory_records.DefaultRecordBatch = Batch
