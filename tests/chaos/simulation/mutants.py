"""Planted bugs: what the product might have been. Each is a substitution in it, for as long as a block lasts; the simulation
and its checker must find every one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unittest.mock import patch

import spanstream.eventlog.loop
import spanstream.gateway.problems
import spanstream.gateway.search
import spanstream.gateway.visibility
import spanstream.indexer.changes
import spanstream.indexer.handler
import spanstream.ingestor.documents
import spanstream.ingestor.handler
import spanstream.store.conditions
import spanstream.store.index
import spanstream.store.points
import tests.chaos.simulation.clients
from spanstream.embedder.handler import Embedding
from spanstream.eventlog.errors import LogUnavailable, Retry
from spanstream.eventlog.log import Rejected
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.memory import MemoryConsumer
from spanstream.events.ids import Key, Order, head_id
from spanstream.events.v1.failure_pb2 import REASON_EMBED_INVALID
from spanstream.gateway.status import Outcome
from spanstream.indexer.changes import Change
from spanstream.indexer.handler import Indexer
from spanstream.ingestor.acceptance import Acceptance, Receipt
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.versions import Versions
from spanstream.runtime.problems import Problem
from spanstream.store import conditions, engine
from spanstream.store.index import Index
from spanstream.store.payloads import key_text
from spanstream.store.points import Passage, State
from spanstream.store.queries import AllOf, Match, Not, Range

DOCUMENTS = engine.Collection.DOCUMENTS
Swap = tuple[Any, str, Callable[[Any], Any]]  # whose attribute, and what takes its place, made from it


@dataclass(frozen=True)
class Mutant:
    """A bug by its name."""

    name: str
    swaps: tuple[Swap, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The product has this bug."""
        with ExitStack() as stack:
            for owner, name, made in self.swaps:
                original = owner.__dict__[name]
                stack.enter_context(patch.object(owner, name, made(original)))
            yield


MUTANTS: list[Mutant] = []


def bug(name: str, *swaps: Swap) -> None:
    MUTANTS.append(Mutant(name, swaps))


def always(value: Any) -> Callable[[Any], Any]:
    return lambda original: lambda *args, **named: value


def around(work: Callable[..., Any]) -> Callable[[Any], Any]:
    """`work` gets the original and then what that would get."""
    return lambda original: lambda *args, **named: work(original, *args, **named)


# --- The loop --------------------------------------------------------------------------------------------------------


def _commit_first(original: Any, loop: Loop, *args: Any) -> Any:
    loop._consumer.commit(args[0])
    return original(loop, *args)


def _publish_all_but_last(original: Any, loop: Loop, records: Any, results: Any) -> None:
    original(loop, records, results[:-1] if len(results) > 1 else results)


def _publish_and_hope(original: Any, loop: Loop, records: Any, results: Any) -> None:
    with suppress(LogUnavailable):
        original(loop, records, results)


def _go_on(original: Any, loop: Loop, records: Any, wait: Any) -> None:
    loop._uncommitted |= {(record.topic, record.partition): record for record in records}


def _commit_unflushed(original: Any, loop: Loop) -> None:
    loop._flush = None
    original(loop)


def _rewind_too_little(original: Any, consumer: MemoryConsumer, records: Any) -> None:
    original(consumer, records[1:])


def _commit_too_much(original: Any, consumer: MemoryConsumer, records: Any) -> bool:
    further = [replace(record, offset=record.offset + 1) for record in records]
    return bool(original(consumer, further))


bug("a commit before the effect", (Loop, "_apply", around(_commit_first)))
bug("a commit before the outputs are acknowledged", (Loop, "_publish", around(_commit_first)))
bug("a commit without a flush", (Loop, "_commit", around(_commit_unflushed)))
bug("the last output is not sent", (Loop, "_publish", around(_publish_all_but_last)))
bug("a publish that failed is taken for done", (Loop, "_publish", around(_publish_and_hope)))
bug("a retry goes on instead", (Loop, "_put_back", around(_go_on)))
bug("a rewind forgets the first record", (MemoryConsumer, "rewind", around(_rewind_too_little)))
bug("a commit names one record too many", (MemoryConsumer, "commit", around(_commit_too_much)))
bug("dead letters are dropped", (spanstream.eventlog.loop, "dead_letter", always(None)))

# --- Order -----------------------------------------------------------------------------------------------------------


def _ordered(of: Callable[[Order], Order]) -> tuple[Swap, ...]:
    """Everybody in the product compares by another order."""

    class Wrong(NamedTuple):
        version: int
        rank: int
        hash52: int

        @classmethod
        def of(cls, version: int, content_hash: bytes, deleted: bool) -> Order:
            return of(Order.of(version, content_hash, deleted))

    return tuple(
        (module, "Order", lambda original: Wrong) for module in (spanstream.store.points, spanstream.indexer.changes)
    )


def _flip_anyway(original: Any, index: Index, heads: Any) -> Any:
    stored = index.heads([head.key for head in heads])
    written = [spanstream.store.index._with_failure(head, stored.get(head.key)) for head in heads]
    index._engine.write(DOCUMENTS, [engine.Upsert(spanstream.store.index._head_point(head)) for head in written])
    after = index.heads([head.key for head in heads])
    return [after[head.key] for head in heads]


def _forget_tombstones(original: Any, index: Index, heads: Any) -> Any:
    after = original(index, heads)
    gone = [str(head_id(head.key)) for head in after if head.state is State.DELETED]
    index._engine.write(DOCUMENTS, [engine.Delete(conditions.Ids((id,))) for id in gone])
    return after


bug("versions are ignored", *_ordered(lambda order: Order(0, order.rank, order.hash52)))
bug("versions are compared the other way round", *_ordered(lambda order: Order(2**53 - 1 - order.version, *order[1:])))
bug(
    "<= for <: a tie goes to whoever comes last",
    (
        Change,
        "beats",
        around(
            lambda original, change, head: head is None or head.state is State.ABSENT or change.version >= head.version
        ),
    ),
    (Index, "flip_heads", around(_flip_anyway)),
)
bug("a delete does not beat an upsert of its version", *_ordered(lambda order: Order(order.version, 0, order.hash52)))
bug(
    "an upsert beats a delete of its version",
    *_ordered(lambda order: Order(order.version, 1 - order.rank, order.hash52)),
)
bug("ties of content go to the smaller hash", *_ordered(lambda order: Order(*order[:2], 2**52 - 1 - order.hash52)))
bug("what a zombie writes wins", (Index, "flip_heads", around(_flip_anyway)))
bug("a delete leaves no tombstone", (Index, "flip_heads", around(_forget_tombstones)))
bug(
    "of a poll only each key's last change counts",
    (
        spanstream.indexer.handler,
        "rounds",
        lambda original: (
            lambda parts: [list({change.key: change for layer in original(parts) for change in layer}.values())]
        ),
    ),
)

# --- Passages --------------------------------------------------------------------------------------------------------


def _write_late(original: Any, index: Index, passages: Any) -> None:
    index.__dict__.setdefault("late", []).extend(passages)


def _flip_early(original: Any, index: Index, heads: Any) -> Any:
    flipped = original(index, heads)
    written = [engine.Upsert(spanstream.store.index._passage_point(each)) for each in index.__dict__.pop("late", [])]
    index._engine.write(engine.Collection.PASSAGES, written)
    return flipped


def _all_but_named(head: Any) -> Any:
    """Of the key, whatever the head does not name, also what is above it."""
    body = conditions.body_text(head.key, head.body_version, head.content_hash)
    return AllOf((Match("key", (key_text(head.key),)), Not(Match("body", (body,)))))


def _below_and_named(head: Any) -> Any:
    return AllOf((Match("key", (key_text(head.key),)), Range("version", lte=head.version)))


def _write_some(original: Any, index: Index, passages: Any) -> None:
    original(index, passages[:-1] if len(passages) > 2 else passages)


bug(
    "how many passages there are is not counted",
    (Indexer, "_complete", lambda original: lambda indexer, upserts: (list(upserts), [])),
)
bug(
    "the head flips before the passages are written",
    (Index, "upsert_passages", around(_write_late)),
    (Index, "flip_heads", around(_flip_early)),
)
bug("the last of many passages is not written", (Index, "upsert_passages", around(_write_some)))
bug("cleanup above the head", (conditions, "stale", lambda original: _all_but_named))
bug("cleanup of what the head names", (conditions, "stale", lambda original: _below_and_named))
bug("no cleanup", (Index, "delete_stale", always(None)))
bug(
    "ids of passages without the version",
    (
        spanstream.store.points,
        "passage_id",
        lambda original: lambda key, version, content, ordinal: original(key, 0, b"", ordinal),
    ),
)
bug("ids of passages by chance", (Passage, "id", lambda original: property(lambda passage: str(uuid.uuid4()))))
bug("a head that survived a power cut is believed", (Indexer, "_restore", always(None)))

# --- Unchanged -------------------------------------------------------------------------------------------------------


def _bumpable(point: str, head: Any, version: int) -> Any:
    return AllOf((conditions.Ids((point,)), conditions.live(), Range("version", lt=version)))


def _bump_the_body(original: Any, index: Index, bumps: Any) -> Any:
    after = original(index, bumps)
    for head in after:
        bumped = engine.SetPayload(conditions.Ids((str(head_id(head.key)),)), {"body_version": head.version})
        index._engine.write(DOCUMENTS, [bumped])
    return after


bug(
    "unchanged is believed without the hash",
    (
        spanstream.indexer.handler,
        "_same_content",
        lambda original: lambda change, head: head is not None and head.state is State.LIVE,
    ),
    (conditions, "bumpable", lambda original: _bumpable),
)
bug("a wrong guess is dropped", (Indexer, "_bump", around(lambda original, *args: (original(*args)[0], []))))
bug(
    "a bump is not done",
    (
        Index,
        "bump_heads",
        lambda original: lambda index, bumps: [replace(head, version=version) for head, version in bumps],
    ),
)
bug("a bump names other passages", (Index, "bump_heads", around(_bump_the_body)))
bug("what is in flight is ignored", (InFlight, "quiet", lambda original: lambda in_flight, keys: set(keys)))
bug("events of others are not in flight", (InFlight, "_foreign", always(0)), (InFlight, "_among_own", always(False)))

# --- Accepting -------------------------------------------------------------------------------------------------------


def _acknowledge_anyway(original: Any, acceptance: Acceptance, caller: Any, documents: Any) -> Any:
    try:
        return original(acceptance, caller, documents)
    except Problem:
        return [Receipt(each.key, 1 if each.version is None else each.version) for each in documents]


def _hash_without_groups(original: Any) -> Any:
    return lambda *, groups, **named: original(groups=(), **named)


bug("an acknowledgement of what was not taken", (Acceptance, "accept", around(_acknowledge_anyway)))
bug("versions follow a clock that is set back", (Versions, "next", lambda original: lambda versions: versions._clock()))
bug(
    "groups are no part of the content",
    (spanstream.ingestor.documents, "content_hash", _hash_without_groups),
)

# --- Failures --------------------------------------------------------------------------------------------------------


def _reject_instead(original: Any, embedding: Embedding, records: Any) -> Any:
    try:
        return original(embedding, records)
    except Retry:
        return [Rejected(record, REASON_EMBED_INVALID, "no answer") for record in records]


bug("an outage is a dead letter", (Embedding, "__call__", around(_reject_instead)))
bug("failures are not noted", (Index, "record_failures", always(None)))


def _older(point: str, version: int) -> Any:
    return AllOf((conditions.Ids((point,)), Range("version", lt=version)))


bug("an older failure replaces a newer one", (conditions, "older", lambda original: _older))
bug(
    "a flip forgets what failed meanwhile",
    (conditions, "flippable", lambda original: lambda order, known: conditions.head_below(order)),
)
bug(
    "a flip forgets newer failures",
    (spanstream.store.index, "_with_failure", lambda original: lambda head, stored: head),
)

# --- Reading ---------------------------------------------------------------------------------------------------------


def _without_groups(original: Any) -> Any:
    return lambda scope, where, *more: original(replace(scope, groups=None), where, *more)


def _searchable(original: Any) -> Any:
    def told(head: Any, version: int | None) -> Any:
        found = original(head, version)
        known = head is not None and head.state is State.LIVE
        return replace(found, outcome=Outcome.SEARCHABLE) if known and found.outcome is Outcome.PENDING else found

    return told


def _admit_any_tenant(original: Any, key: Key, groups: Any, scope: Any) -> bool:
    admitted: bool = original(Key(scope.tenant, key.source, key.id), groups, scope)
    return admitted


bug(
    "the tenant is forgotten by the store's filter and by the head gate behind it",
    (conditions, "tenant", always(AllOf(()))),
    (spanstream.gateway.visibility, "admits", around(_admit_any_tenant)),
)
bug(
    "groups are forgotten by a search",
    (spanstream.gateway.visibility, "admits", always(True)),
    (conditions, "visible", _without_groups),
)
bug("groups are forgotten by a status", (spanstream.gateway.problems, "admits", always(True)))
bug("the head gate is skipped", (spanstream.gateway.search, "shows", always(True)))
bug(
    "the head gate looks at the state alone",
    (spanstream.gateway.search, "shows", lambda original: lambda head, passage, scope: head.state is State.LIVE),
)
bug(
    "the head gate forgets the state",
    (
        spanstream.gateway.search,
        "shows",
        lambda original: (
            lambda head, passage, scope: (
                (head.body_version, head.content_hash) == (passage.version, passage.content_hash)
                or head.state is State.DELETED
            )
        ),
    ),
)
bug("a status is searchable before its version is", (tests.chaos.simulation.clients, "status", _searchable))
