"""Trace context from the records read to the messages written (W3C `traceparent` in the record headers)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spanstream.eventlog.log import Headers, Outgoing, Record

FIELD = "traceparent"
MAX_VALUE = 64  # bytes; version 00 has 55. Longer is not a trace, and must not grow what is written
RESERVE = 128  # bytes that `carry` may add to a message


def context(headers: Headers) -> Headers:
    """The trace field among record headers, if any."""
    return tuple((name, value) for name, value in headers if name == FIELD and len(value) <= MAX_VALUE)[:1]


def carry(records: Sequence[Record], messages: Sequence[Outgoing], step: Headers) -> list[Outgoing]:
    """The messages, each with a trace: its own if it has one, else the one it continues.

    A lone record's trace is the step's parent, so its outputs continue the step. Among several records each output
    continues the trace of the record with its key; outputs keep the key of what they came from.
    """
    own = {record.key: trace for record in records if len(records) > 1 and (trace := context(record.headers))}
    return [
        message
        if context(message.headers)
        else replace(message, headers=(*message.headers, *(own.get(message.key) or context(step))))
        for message in messages
    ]
