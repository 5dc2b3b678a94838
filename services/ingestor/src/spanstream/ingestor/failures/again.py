"""From a dead letter to the record that failed, to be sent again. Pure."""

from __future__ import annotations

from spanstream.eventlog import sizes
from spanstream.eventlog.dead_letters import REPLAY
from spanstream.eventlog.log import Headers, Outgoing
from spanstream.events import topics
from spanstream.events.v1.failure_pb2 import FailureEvent

_ORIGINS = frozenset(topic.name for topic in topics.ALL if topic.dead_letters)


def again(event: FailureEvent) -> Outgoing | None:
    """The record byte for byte, with its headers and one that says it is a replay.

    None where it cannot be sent: its bytes were left out, nobody reads its topic, or it is larger than the topic takes.
    """
    if not event.value or event.topic not in _ORIGINS:
        return None
    kept: Headers = tuple((header.name, header.value) for header in event.headers if header.name != REPLAY)
    told: Headers = ((REPLAY, str(replays(event) + 1).encode()),)
    for headers in (kept + told, kept):  # at the very limit the record counts for more than the header
        message = Outgoing(event.topic, event.key, event.value, headers)
        if sizes.size(message) <= sizes.limit(message.topic):
            return message
    return None


def replays(event: FailureEvent) -> int:
    """How often the record had been sent again when it failed."""
    told = next((header.value for header in event.headers if header.name == REPLAY), b"")
    return int(told) if told.isdigit() and len(told) < 10 else 0
