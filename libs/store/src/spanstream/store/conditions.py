"""What the store asks its engine for, as conditions over stored fields. Pure: no engine's types.

A caller's condition is checked and asked of what is indexed by `admitted`; all others are ours. A passage or head without
groups is seen by the whole tenant; a scope without a list of groups sees everything of its tenant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from spanstream.events.ids import Order
from spanstream.store.errors import StoreRejected
from spanstream.store.facts import DATES, FACTS, NUMBERS, field_fact, typed_path, value_fact
from spanstream.store.payloads import body_text, key_text
from spanstream.store.points import Head, State
from spanstream.store.queries import AllOf, AnyOf, Condition, DateRange, Match, Not, Range, Scope


@dataclass(frozen=True, slots=True)
class Ids:
    """The point is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    """The field is absent, null or an empty list."""

    field: str


StoredCondition = Condition | Ids | Empty

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+(\[\])?")
_WILDCARD = re.compile(r"[A-Za-z0-9_-]+\[\]")  # each item of a list


def every(*parts: StoredCondition) -> StoredCondition:
    """All of them hold."""
    return AllOf(parts)  # type: ignore[arg-type]  # callers' conditions never hold ours; ours may


def either(*parts: StoredCondition) -> StoredCondition:
    """At least one of them holds."""
    return AnyOf(parts)  # type: ignore[arg-type]


def not_(part: StoredCondition) -> StoredCondition:
    """It does not hold."""
    return Not(part)  # type: ignore[arg-type]


def admitted(condition: Condition) -> StoredCondition:
    """A caller's condition over stored fields; StoreRejected where it names a field of ours."""
    match condition:
        case AllOf(conditions):
            return every(*map(admitted, conditions))
        case AnyOf(conditions):
            return either(*map(admitted, conditions))
        case Not(inner):
            return not_(admitted(inner))
        case Match() | Range() | DateRange():
            return _asked(condition)


def _asked(condition: Match | Range | DateRange) -> StoredCondition:
    """By the facts of a point that has any, else by its metadata."""
    read = replace(condition, field=stored_path(condition.field))
    if not has_facts(condition):
        return read
    if isinstance(condition, Match):
        field = _metadata_field(condition)
        known: StoredCondition = Match(FACTS, tuple(value_fact(field, value) for value in condition.values))
    else:
        known = every(_holding(condition), replace(condition, field=bounded_path(condition)))
    return either(known, every(unknown(), read))


def has_facts(condition: Match | Range | DateRange) -> bool:
    """Whether there are facts about its field: of metadata, but for paths into lists of objects."""
    names = condition.field.split(".")
    return names[0] == "metadata" and not any(map(_WILDCARD.fullmatch, names))


def bounded_path(bounds: Range | DateRange) -> str:
    """Where what the range bounds is stored."""
    stored_path(bounds.field)  # raises where it is none
    return typed_path(_kind(bounds), _metadata_field(bounds))


def holding(bounds: Range | DateRange, scope: Scope) -> StoredCondition:
    """The tenant's points with numbers, or dates, in the field that is bounded."""
    return every(tenant(scope), _holding(bounds))


def _holding(bounds: Range | DateRange) -> StoredCondition:
    """With this few points are looked at, whether the field has an index or not."""
    return Match(FACTS, (field_fact(_kind(bounds), _metadata_field(bounds)),))


def _metadata_field(condition: Match | Range | DateRange) -> str:
    return condition.field.removeprefix("metadata.")


def _kind(bounds: Range | DateRange) -> str:
    return DATES if isinstance(bounds, DateRange) else NUMBERS


def unknown() -> StoredCondition:
    """The point has no facts."""
    return Empty(FACTS)


def unchanged(point: str, content_hash: str | None) -> StoredCondition:
    """The point still has no facts, and this hash if it is a head."""
    return every(Ids((point,)), unknown(), *([] if content_hash is None else [Match("hash", (content_hash,))]))


def stored_path(field: str) -> str:
    """A caller's field as a stored path; StoreRejected where it is one of ours."""
    if field in ("source", "id"):
        return field
    first, *names = field.split(".")
    if first != "metadata" or not names or not all(names):
        raise StoreRejected(f"cannot filter on {field!r}: it must be 'source', 'id' or a path below 'metadata.'")
    if any('"' in name for name in names):
        raise StoreRejected("a filter's field must not contain quotation marks")
    return ".".join([first, *(name if _PLAIN_NAME.fullmatch(name) else f'"{name}"' for name in names)])


def tenant(scope: Scope) -> StoredCondition:
    """Everything of the scope's tenant."""
    return Match("tenant", (scope.tenant,))


def visible(scope: Scope, where: Condition | None, *more: StoredCondition) -> StoredCondition:
    """What the scope sees and the caller's condition admits, and `more`."""
    parts: list[StoredCondition] = [tenant(scope), *more]
    if scope.groups is not None:
        shared = Match("groups", scope.groups)
        parts.append(either(Empty("groups"), shared) if scope.groups else Empty("groups"))
    if scope.sources is not None:
        parts.append(Match("source", scope.sources))
    if where is not None:
        parts.append(admitted(where))
    return every(*parts)


def live() -> StoredCondition:
    """The head is live."""
    return Match("state", (State.LIVE.value,))


def head_below(order: Order) -> StoredCondition:
    """The stored head loses against an event of this order."""
    same_rank = every(Match("rank", (order.rank,)), Range("hash52", lt=order.hash52))
    tie = either(Range("rank", lt=order.rank), same_rank)
    return either(Range("version", lt=order.version), every(_version(order.version), tie))


def flippable(order: Order, known: int) -> StoredCondition:
    """The stored head loses against an event of this order, and has no failure of a version above the `known` one."""
    return every(head_below(order), _no_failure_above(known))


def bumpable(point: str, head: Head, version: int) -> StoredCondition:
    """The stored head is live, of the same content and of a lower version."""
    return every(Ids((point,)), live(), Match("hash", (head.content_hash.hex(),)), Range("version", lt=version))


def older(point: str, version: int) -> StoredCondition:
    """The stored head, and the failure noted on it, are not newer than a failure of this version."""
    return every(Ids((point,)), Range("version", lt=version), _no_failure_above(version))


def failed(point: str, at_us: int) -> StoredCondition:
    """The stored head notes the failure of this time."""
    return every(Ids((point,)), Match("failure.at_us", (at_us,)))


def absent(head: StoredCondition) -> StoredCondition:
    """The stored head, and nothing was ever indexed under it."""
    return every(head, Match("state", (State.ABSENT.value,)))


def stale(head: Head) -> StoredCondition:
    """The key's passages whose order is below the head's and which it does not name. Passages have rank 0."""
    below: list[StoredCondition] = [Range("version", lt=head.version)]
    if head.state is State.DELETED:
        below.append(_version(head.version))
    else:
        below.append(every(_version(head.version), Range("hash52", lt=head.order.hash52)))
    mine = Match("key", (key_text(head.key),))
    if head.state is not State.LIVE:
        return every(mine, either(*below))
    named = Match("body", (body_text(head.key, head.body_version, head.content_hash),))
    return every(mine, either(*below), Not(named))


def _no_failure_above(version: int) -> StoredCondition:
    return Not(Range("failure.version", gt=version))


def _version(version: int) -> StoredCondition:
    return Match("version", (version,))
