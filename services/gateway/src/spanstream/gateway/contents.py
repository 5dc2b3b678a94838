"""A live document as its passages, a page at a time: what the index holds of its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanstream.events.ids import Key
from spanstream.gateway.visibility import admits
from spanstream.store.errors import StoreUnavailable
from spanstream.store.points import Head, Passage, State
from spanstream.store.queries import Scope
from spanstream.store.store import Store

READS = 3  # of a document that is replaced while it is read


@dataclass(frozen=True, slots=True)
class Content:
    """A page of a document's passages, by ordinal. `next`: the ordinal of the page behind it; None at the end."""

    head: Head
    passages: Sequence[Passage]
    next: int | None


def content(store: Store, scope: Scope, key: Key, first: int, limit: int) -> Content | None:
    """At most `limit` passages from ordinal `first`, all of the version that the head names.

    None where the caller sees no such document. Raises StoreUnavailable where it is replaced faster than it can be read, or
    passages of it are damaged.
    """
    before = None
    for _ in range(READS):
        head = store.heads([key]).get(key)
        if head is None or head.state is not State.LIVE or not admits(key, head.groups, scope):
            return None
        ids = head.passage_ids(first, limit)
        found = store.fetch(ids)
        passages = [found[id] for id in ids if id in found]
        if len(passages) == len(ids):  # else a newer version has just taken its place
            end = first + len(ids)
            return Content(head, passages, end if ids and end < head.passage_count else None)
        if head.order == before:
            raise StoreUnavailable("passages of the document are lost, or the disk has changed them: send it again")
        before = head.order
    raise StoreUnavailable("the document is being replaced")
