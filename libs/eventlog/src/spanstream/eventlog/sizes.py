"""How large a message may be: checked by us before sending, because one record that the broker refuses would turn an
idempotent producer unusable for everyone who shares it."""

from __future__ import annotations

from collections.abc import Sequence

from spanstream.eventlog.errors import TooLarge
from spanstream.eventlog.log import Outgoing
from spanstream.events import topics

LIMITS = {topic.name: topic.max_message_bytes for topic in topics.ALL}
DEFAULT_LIMIT = 1 << 20  # of a topic outside the registry: just under Kafka's own default of 1,048,588

_BATCH = 61 + 64  # Kafka's record batch header, and the frame that lz4 adds where bytes do not compress
_RECORD = 32  # a record's attributes and lengths (at most 6 varints), rounded up
_HEADER = 10  # two lengths (varints)
_LZ4_SHARE = 4 / 65536  # lz4 adds 4 bytes per block of 64 KiB that does not compress


def size(message: Outgoing) -> int:
    """An upper bound, in bytes, on what the message occupies alone in a batch, whether or not it compresses."""
    headers = sum(len(name.encode()) + len(value) + _HEADER for name, value in message.headers)
    payload = len(message.key) + len(message.value) + headers + _RECORD
    return payload + int(payload * _LZ4_SHARE) + _BATCH


def limit(topic: str) -> int:
    """The largest batch, in bytes, that the topic takes."""
    return LIMITS.get(topic, DEFAULT_LIMIT)


def check(messages: Sequence[Outgoing], reserve: int = 0) -> None:
    """Raise TooLarge if any message, with `reserve` bytes that may still be added, exceeds its topic's limit."""
    for message in messages:
        needed, allowed = size(message) + reserve, limit(message.topic)
        if needed > allowed:
            raise TooLarge(f"a message of {needed} bytes exceeds the {allowed} of {message.topic}")
