"""What is remembered of a dead letter: all but its bytes, which stay in the log. Pure."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from spanstream.eventlog.log import Record
from spanstream.events.codec import decode_failure, envelope
from spanstream.events.errors import InvalidKey, Undecodable
from spanstream.events.ids import FINGERPRINT_PATTERN, Key
from spanstream.events.v1.failure_pb2 import FailureEvent
from spanstream.ingestor.failures.again import again, replays
from spanstream.runtime.identity import admitted

LETTER_BYTES = 1_000  # of memory, besides its texts
_FINGERPRINT = re.compile(FINGERPRINT_PATTERN)


class Origin(NamedTuple):
    """Where the record lies that failed: this names its dead letter, however often that was written."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Its name for callers."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """`place` is where it lies itself, as (partition, offset). `groups` of the document that failed, None where they cannot
    be read. `size`: bytes of the record that are kept; `replayable`: whether it can be sent again. `replays`: how often it
    had been sent again when it failed.
    """

    key: Key
    origin: Origin
    place: tuple[int, int]
    fingerprint: str
    stage: str
    reason: int
    detail: str
    version: int
    attempts: int
    failed_at_us: int
    size: int
    replayable: bool
    replays: int
    groups: tuple[str, ...] | None = field(default=None, repr=False)

    def admits(self, groups: tuple[str, ...] | None, sources: tuple[str, ...] | None = None) -> bool:
        """Whether a caller with these groups and sources, None for all, may know of it."""
        if sources is not None and self.key.source not in sources:
            return False
        return groups is None if self.groups is None else admitted(self.groups, groups)

    @property
    def cost(self) -> int:
        """About how many bytes of memory it takes."""
        texts = (self.key.id, self.detail, *(self.groups or ()))
        return LETTER_BYTES + sum(4 * len(text) for text in texts)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of the dead letter of a record, or of all of the key's up to a version."""

    key: Key
    resolution: int
    origin: Origin
    version: int


def read(record: Record) -> Letter | Resolved | None:
    """What a record of the dead-letter topic says; None where it says not whose it is, which is then nobody's."""
    found = opened(record)
    return found and found[1]


def opened(record: Record) -> tuple[FailureEvent, Letter | Resolved] | None:
    """The same with the event, which holds the record that failed."""
    try:
        event, key = decode_failure(record.value), Key.decode(record.key or b"")
    except (Undecodable, InvalidKey):
        return None
    origin = Origin(sys.intern(event.topic), event.partition, event.offset)
    if event.resolution:
        return event, Resolved(key, event.resolution, origin, event.version)
    if (event.tenant, event.source, event.id) != key or event.key != record.key:
        return None
    letter = Letter(
        key=Key(sys.intern(key.tenant), sys.intern(key.source), key.id),
        origin=origin,
        place=(record.partition, record.offset),
        fingerprint=sys.intern(event.fingerprint if _FINGERPRINT.fullmatch(event.fingerprint) else "0" * 16),
        stage=sys.intern(event.stage),
        reason=event.reason,
        detail=sys.intern(event.detail),
        version=event.version,
        attempts=event.attempts,
        failed_at_us=event.failed_at_us,
        size=len(event.value),
        replayable=again(event) is not None,
        replays=replays(event),
        groups=_groups(event, key),
    )
    return event, letter


def _groups(event: FailureEvent, key: Key) -> tuple[str, ...] | None:
    failed = envelope(event.topic, event.value)
    if failed is None or (failed.tenant, failed.source, failed.id) != key:
        return None
    return tuple(map(sys.intern, failed.groups))
