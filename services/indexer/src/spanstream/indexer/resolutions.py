"""What the indexer tells, and is told, of dead letters: resolutions on `failures.v1`."""

from __future__ import annotations

from collections.abc import Iterator

from spanstream.eventlog.log import Outgoing
from spanstream.events.codec import headers
from spanstream.events.ids import Key
from spanstream.events.topics import FAILURES
from spanstream.events.v1.failure_pb2 import RESOLUTION_REPLAYED, RESOLUTION_SUPERSEDED, FailureEvent
from spanstream.store.points import Head, State


def superseded(key: Key, version: int, now_us: int) -> Outgoing:
    """The message that no dead letter of the document up to `version` is open any more."""
    event = FailureEvent(resolution=RESOLUTION_SUPERSEDED, version=version, resolved_at_us=now_us)
    return Outgoing(FAILURES.name, key.encode(), event.SerializeToString(), headers(event))


def outrun(head: Head | None, version: int) -> bool:
    """Whether the index shows a newer version. Version 0 is one that could not be read, and may be any."""
    return head is not None and head.state is not State.ABSENT and 0 < version < head.version


def replayed(event: FailureEvent, key: bytes | None) -> Iterator[tuple[Key, int]]:
    """Of a dead letter whose record was sent again: its document, and when it had failed. Nothing of any other event.
    Raises InvalidKey.
    """
    if event.resolution == RESOLUTION_REPLAYED:
        yield Key.decode(key or b""), event.failed_at_us
