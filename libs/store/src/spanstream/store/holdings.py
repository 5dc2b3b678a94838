"""What a store still holds of a document, a source or a tenant: read back, to be told in a deletion receipt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from spanstream.store.conditions import StoredCondition, either, every, live, not_
from spanstream.store.engine import Collection, Engine
from spanstream.store.payloads import head_from
from spanstream.store.points import Head, State
from spanstream.store.queries import Match, Range

SETTLE_US = 60_000_000  # from a tombstone to the end of what lies below it
_DOCUMENTS, _PASSAGES = Collection.DOCUMENTS, Collection.PASSAGES


@dataclass(frozen=True, slots=True)
class Held:
    """Numbers of points. `documents`: heads but for tombstones; `passages`: whatever their head says of them.

    `elsewhere`: by each other generation that the store keeps, both together. `uncleared`: of those generations that have any,
    how many tombstones lie above what is still in the generation's files, if the engine tells. `deleted_at_us`: when the last of the
    tombstones was written, 0 without any. `cleared_at_us`: what was deleted more than SETTLE_US before then is in no file
    of the engine any more; None where the engine does not tell.
    """

    generation: str
    documents: int
    tombstones: int
    passages: int
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    uncleared: Mapping[str, int] = field(default_factory=dict)
    deleted_at_us: int = 0
    cleared_at_us: int | None = None


class Holdings:
    """Of the open generation, and of the others beside it. Raises what the store does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def held(self, tenant: str, source: str | None = None, id: str | None = None) -> Held:
        """All of it is counted exactly; facts and values for ranges are fields of what is counted."""
        of = _of(tenant, source, id)
        deleted = every(of, Match("state", (State.DELETED.value,)))
        kept = every(of, not_(deleted))
        times = [
            record.payload["indexed_at_us"] for record in self._engine.scroll(_DOCUMENTS, deleted, ["indexed_at_us"])
        ]
        elsewhere = self._engine.elsewhere(kept)
        return Held(
            generation=self._engine.generation,
            documents=self._engine.count(_DOCUMENTS, kept),
            tombstones=len(times),
            passages=self._engine.count(_PASSAGES, of),
            elsewhere=elsewhere,
            uncleared={name: count for name in elsewhere if (count := self._uncleared(name, deleted))},
            deleted_at_us=max(times, default=0),
            cleared_at_us=self._engine.cleared_at_us(self._engine.generation),
        )

    def _uncleared(self, generation: str, deleted: StoredCondition) -> int:
        """Of another generation."""
        cleared = self._engine.cleared_at_us(generation)
        if cleared is None:
            return 0
        return self._engine.elsewhere(every(deleted, _missed(cleared))).get(generation, 0)  # it may just have gone

    def deleted_since(self, cleared_at_us: int) -> bool:
        """Whether a vacuum that began then may have missed passages of a document that is deleted by now."""
        deleted = Match("state", (State.DELETED.value,))
        return self._engine.count(_DOCUMENTS, every(deleted, _missed(cleared_at_us))) > 0

    def live(self, tenant: str, source: str | None, limit: int) -> list[Head]:
        """Documents that are there to be deleted, at most so many: those of which a version failed too, as its bytes are
        kept elsewhere.
        """
        there = either(live(), Range("failure.version", gte=0))
        records = self._engine.scroll(_DOCUMENTS, every(_of(tenant, source, None), there))
        heads = (head_from(record.payload) for record in records)
        return list(islice((head for head in heads if head.state is State.LIVE or head.failure), limit))


def _of(tenant: str, source: str | None, id: str | None) -> StoredCondition:
    """Of heads and passages alike."""
    named = (("tenant", tenant), ("source", source), ("id", id))
    return every(*(Match(name, (value,)) for name, value in named if value is not None))


def _missed(cleared_at_us: int) -> StoredCondition:
    """Written after, or so shortly before, a vacuum that began then."""
    return Range("indexed_at_us", gt=cleared_at_us - SETTLE_US)
