"""From a record that cannot be processed to the message that keeps it: a FailureEvent on the topic's dead-letter topic."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import PurePath

from spanstream.eventlog import sizes, traces
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events import codec, topics
from spanstream.events.errors import InvalidKey
from spanstream.events.ids import Key
from spanstream.events.v1.failure_pb2 import REASON_HANDLER_CRASH, FailureEvent, Header, Reason

REPLAY = "replay"  # header of a record that was sent again after it had failed: how often, in ASCII digits
MAX_DETAIL = 500  # characters
MAX_KEY = 16_384  # bytes; the longest key of ours has 3 x 4 x 512 for the id and 2 x 65 for the rest
_DEAD_LETTERS = {topic.name: topic.dead_letters for topic in topics.ALL}


def dead_letter(rejected: Rejected, *, stage: str, failed_at_us: int) -> Outgoing | None:
    """The message to publish; None where the record came from a dead-letter topic itself, and so is kept already.

    It always fits its topic: a record that came compressed from elsewhere and is larger than any of ours is named by
    topic, partition and offset only. Its key is the record's own, empty where there was none or it is too large itself.
    """
    record = rejected.record
    topic = _DEAD_LETTERS.get(record.topic, topics.FAILURES.name)
    if topic is None:
        return None
    place = rejected.detail if rejected.reason == REASON_HANDLER_CRASH else ""
    event = FailureEvent(
        stage=stage,
        reason=rejected.reason,
        detail=rejected.detail[:MAX_DETAIL],
        fingerprint=_fingerprint(stage, rejected.reason, place),
        attempts=max(1, rejected.crashes),
        failed_at_us=failed_at_us,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value or b"",
        headers=[Header(name=name, value=value) for name, value in record.headers],
    )
    _identify(event, record)
    message = _message(topic, event)
    if sizes.size(message) + traces.RESERVE > sizes.limit(topic):
        event.ClearField("value")
        event.ClearField("headers")
        event.detail = f"{event.detail[:400]} (bytes left out: larger than {topic} takes)"
        if len(event.key) > MAX_KEY:
            event.ClearField("key")
        message = _message(topic, event)
    return message


def crash(record: Record, error: BaseException) -> Rejected:
    """The rejection of a record on which the handler raised, in its batch and then alone: the error's type and place,
    never its words, which may quote the document.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {PurePath(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
    return Rejected(record, REASON_HANDLER_CRASH, f"{type(error).__name__}{place}", crashes=2)


def _message(topic: str, event: FailureEvent) -> Outgoing:
    return Outgoing(topic, event.key, event.SerializeToString(), codec.headers(event))


def _fingerprint(stage: str, reason: Reason, place: str) -> str:
    return hashlib.blake2b(f"{stage}\n{reason}\n{place}".encode(), digest_size=8).hexdigest()


def _identify(event: FailureEvent, record: Record) -> None:
    """Fill in what can be read: the identity from the record key, the version from a value that agrees with it."""
    try:
        key = Key.decode(record.key or b"")
    except InvalidKey:
        return
    inner = codec.envelope(record.topic, record.value)
    if inner is None:
        event.tenant, event.source, event.id = key
    elif (inner.tenant, inner.source, inner.id) == key:
        event.tenant, event.source, event.id = key
        event.version = inner.version
