"""What is wrong with one document: what the log says of it against its head and its passages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spanstream.events.ids import Key, Order
from spanstream.standalone.audit.events import Event, Known
from spanstream.store.points import Head, PassageMark, State


class Kind(StrEnum):
    """A difference between log and index."""

    MISSING = "missing"  # the log has the document, the index has no head of it
    STALE = "stale"  # the index shows an older version
    REVIVED = "revived"  # the log says deleted, the index shows it
    FORGOTTEN = "forgotten"  # the log says deleted, the index knows nothing: a late upsert could bring it back
    HALF = "half"  # the head is right, passages of it are missing
    EXTRA = "extra"  # the head is right, there are passages that it has left behind
    ORPHANED = "orphaned"  # passages without a head
    UNKNOWN = "unknown"  # the index shows what the log does not have


MEANINGS = {
    Kind.MISSING: "in the log, not in the index",
    Kind.STALE: "the index shows an older version",
    Kind.REVIVED: "deleted in the log, shown by the index",
    Kind.FORGOTTEN: "deleted in the log, no tombstone in the index",
    Kind.HALF: "shown, but passages are missing",
    Kind.EXTRA: "passages that its head left behind",
    Kind.ORPHANED: "passages without a head",
    Kind.UNKNOWN: "in the index, not in the log",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """`logged` and `shown` are versions; None: there is none. `event`: what mends it when it is sent again; None: nothing does.

    `unlogged`: the log has no event of the document at all.
    """

    kind: Kind
    key: Key
    detail: str
    logged: int | None = None
    shown: int | None = None
    event: Event | None = None
    unlogged: bool = False


def verdict(key: Key, known: Known, head: Head | None, passages: Sequence[PassageMark]) -> Difference | None:
    """The difference, or None: it is as the log says, it failed, or someone is still writing it."""
    required = known.required()
    stored = None if head is None or head.state is State.ABSENT else head
    if stored is None:
        return _without_head(key, known, required, passages)

    def difference(kind: Kind, detail: str, event: Event | None) -> Difference:
        logged = None if required is None else required.order.version
        return Difference(kind, key, detail, logged, stored.version, event, unlogged=not known.events)

    if required is not None and not required.is_shown_by(stored.order) and stored.order < required.order:
        live = required.order.rank and stored.state is State.LIVE
        return difference(Kind.REVIVED if live else Kind.STALE, f"state {stored.state}", required)
    if known.shown_by(stored.order) is None:
        return difference(Kind.UNKNOWN, f"state {stored.state}", None)
    named = set(stored.passage_ids()) if stored.state is State.LIVE else set()
    if lacking := len(named - {mark.id for mark in passages}):
        body = Order.of(stored.body_version, stored.content_hash, False)
        return difference(Kind.HALF, f"{lacking} of {len(named)} passages missing", known.shown_by(body))
    left = [mark for mark in passages if mark.id not in named and _order(mark) <= stored.order]
    if left:
        return difference(Kind.EXTRA, f"{len(left)} passages too many", known.shown_by(stored.order))
    return None  # what lies above the head someone may be writing


def _without_head(key: Key, known: Known, required: Event | None, passages: Sequence[PassageMark]) -> Difference | None:
    logged = None if required is None else required.order.version
    if passages and (required is None or required.order.rank):
        newest = max(mark.version for mark in passages)
        detail, unlogged = f"{len(passages)} passages", not known.events
        if known.events and required is None:
            return None  # parts of what failed: no head names them
        return Difference(Kind.ORPHANED, key, detail, logged, newest, required, unlogged)
    if required is None:
        return None
    kind = Kind.FORGOTTEN if required.order.rank else Kind.MISSING
    return Difference(kind, key, f"{len(passages)} passages" if passages else "", logged, None, required)


def _order(mark: PassageMark) -> Order:
    return Order.of(mark.version, mark.content_hash, False)
