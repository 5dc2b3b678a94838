"""What is due to go, and the tombstones that are no longer needed: on an engine, once for both adapters.

Time only says what is due. What happens is decided by orders: a document goes by a delete of the version that was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from spanstream.events.ids import Key, Order
from spanstream.store.conditions import Empty, Ids, StoredCondition, either, every, live, not_
from spanstream.store.engine import Collection, Delete, Engine, SetPayload
from spanstream.store.payloads import body_text, head_from
from spanstream.store.points import Head, State
from spanstream.store.queries import Match, Range

_DOCUMENTS, _PASSAGES = Collection.DOCUMENTS, Collection.PASSAGES
_WAITING = "waiting_since_us"  # of a passage whose version no head has reached: since a sweep first saw it


@dataclass(frozen=True, slots=True)
class Body:
    """The passages of one version, as one of them tells. `groups` of who may see them."""

    key: Key
    version: int
    content_hash: bytes
    groups: tuple[str, ...] = field(default=(), compare=False)

    @property
    def order(self) -> Order:
        """Where the version stands among its key's."""
        return Order.of(self.version, self.content_hash, deleted=False)


class Retention:
    """Of all tenants. Times are microseconds since 1970. Raises what the store does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def expired(self, now_us: int, limit: int) -> list[Head]:
        """Live documents whose time is over, at most so many."""
        return self._heads(every(live(), Range("expires_at_us", gt=0, lte=now_us)), limit)

    def older(self, tenant: str, source: str, before_us: int, limit: int) -> list[Head]:
        """Documents of the source that are live and were accepted, or where nobody says when: indexed, before then; or that
        are not, and of which a version failed before then.
        """
        accepted = Range("accepted_at_us", gt=0, lt=before_us)
        indexed = every(Match("accepted_at_us", (0,)), Range("indexed_at_us", lt=before_us))
        of = (Match("tenant", (tenant,)), Match("source", (source,)))
        shown = every(live(), either(accepted, indexed))
        failed = every(not_(live()), Range("failure.at_us", gt=0, lt=before_us))
        return self._heads(every(*of, either(shown, failed)), limit)

    def purge_tombstones(self, before_us: int, limit: int) -> int:
        """Forget at most so many deletes that were applied before then; how many.

        One that is written anew meanwhile stays, and so does one with a failure that is newer than the delete.
        """
        old = every(Match("state", (State.DELETED.value,)), Range("indexed_at_us", lt=before_us))
        records = self._engine.scroll(_DOCUMENTS, old)
        found = list(islice((record for record in records if head_from(record.payload).failure is None), limit))
        same = [(Ids((each.id,)), Match("version", (each.payload["version"],))) for each in found]
        self._engine.write(_DOCUMENTS, [Delete(every(*each, old)) for each in same])
        return len(found)

    def bodies(self) -> Iterator[Body]:
        """For each passage its body, slowly: as far as the caller reads."""
        for record in self._engine.scroll(_PASSAGES, not_(Empty("tenant")), _FIELDS):
            payload = record.payload
            key = Key(payload["tenant"], payload["source"], payload["id"])
            content_hash = bytes.fromhex(payload["body"].rsplit("\n", 1)[1])
            yield Body(key, payload["version"], content_hash, tuple(payload["groups"]))

    def waits(self, body: Body, now_us: int) -> None:
        """Note of its passages that they wait for the rest, of those of which it is not noted yet."""
        named = _named(body)
        self._engine.write(_PASSAGES, [SetPayload(every(named, Empty(_WAITING)), {_WAITING: now_us})])

    def forget_waiting(self, body: Body, before_us: int) -> bool:
        """Delete the body if every passage of it has waited since before then; whether it did."""
        named, long = _named(body), Range(_WAITING, lt=before_us)
        if self._engine.count(_PASSAGES, every(named, not_(long))):
            return False
        self._engine.write(_PASSAGES, [Delete(every(named, long))])
        return True

    def _heads(self, condition: StoredCondition, limit: int) -> list[Head]:
        return [head_from(record.payload) for record in islice(self._engine.scroll(_DOCUMENTS, condition), limit)]


_FIELDS = ("tenant", "source", "id", "version", "body", "groups")


def _named(body: Body) -> StoredCondition:
    return Match("body", (body_text(body.key, body.version, body.content_hash),))
