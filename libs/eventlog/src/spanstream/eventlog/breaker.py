"""The limit that tells a bad deploy from bad records."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from spanstream.eventlog.dead_letters import REPLAY
from spanstream.eventlog.errors import DeadLetterLimitExceeded
from spanstream.eventlog.log import Record, Rejected
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.failure_pb2 import (
    REASON_ENVELOPE_UNREADABLE,
    REASON_SCHEMA_INVALID,
    REASON_SCHEMA_UNKNOWN,
)

# Only what our code or a producer's code got wrong counts. A document that a parser refused by name (empty, encrypted,
# a type we do not read), or that killed the parser's own process, says nothing about the deploy: thousands of those in
# a row are a folder of scans or an attack, not a fault. A record that broke the handler itself, or the encoder behind
# it, always counts. What is unreadable on a topic that anyone writes to says nothing either: one producer's garbage must
# not stop the consumer for all. Nor does a record that was sent again say anything: that it fails is known, and who sends
# it again and again must not stop the consumer either.
SUSPECT = frozenset({REASON_ENVELOPE_UNREADABLE, REASON_SCHEMA_UNKNOWN, REASON_SCHEMA_INVALID})


class Breaker:
    """Counts suspect rejections among the last `window` records; 50 of 1,000 is 5 %, and covers 50 in a row."""

    def __init__(self, limit: int = 50, window: int = 1000) -> None:
        self._limit, self._window = limit, window
        self._recent: deque[bool] = deque(maxlen=window)

    def check(self, records: Sequence[Record], rejections: Sequence[Rejected]) -> None:
        """Raise DeadLetterLimitExceeded if these would reach the limit; called before their dead letters are written."""
        flags = _flags(records, rejections)
        if any(flags) and sum([*self._recent, *flags][-self._window :]) >= self._limit:
            kinds = sorted({one.detail for one in rejections if _suspect(one)})[:3]
            raise DeadLetterLimitExceeded(
                f"{self._limit} of the last {self._window} records failed unexpectedly; latest: {'; '.join(kinds)}"
            )

    def count(self, records: Sequence[Record], rejections: Sequence[Rejected]) -> None:
        """Remember them, once they are published: a batch that is retried counts once."""
        self._recent.extend(_flags(records, rejections))


def _flags(records: Sequence[Record], rejections: Sequence[Rejected]) -> list[bool]:
    suspect = {one.record.place for one in rejections if _suspect(one)}  # it may be as an earlier poll brought it
    return [record.place in suspect for record in records if REPLAY not in dict(record.headers)]


def _suspect(rejection: Rejected) -> bool:
    ours = rejection.record.topic != DOCUMENTS.name
    return rejection.crashes > 0 or (ours and rejection.reason in SUSPECT)
