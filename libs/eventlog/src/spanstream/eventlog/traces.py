"""Trace context from the records read to the messages written (W3C fields in record headers)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spanstream.eventlog.log import Headers, Outgoing, Record

FIELDS = frozenset({"traceparent", "tracestate"})


def context(headers: Headers) -> Headers:
    """The trace fields among record headers."""
    return tuple((name, value) for name, value in headers if name in FIELDS)


def carry(records: Sequence[Record], messages: Sequence[Outgoing], step: Headers) -> list[Outgoing]:
    """The messages, each with a trace: its own if it has one, else the one it continues.

    A lone record's trace is the step's parent, so its outputs continue the step. Among several records each output
    continues the trace of the record with its key; outputs keep the key of what they came from.
    """
    own = {record.key: context(record.headers) for record in records} if len(records) > 1 else {}
    return [
        message
        if context(message.headers)
        else replace(message, headers=(*message.headers, *(own.get(message.key) or step)))
        for message in messages
    ]
