"""Gives points of older versions the facts that newer ones are written with, a batch at a time, while searches go on.

Until then a filter reads their metadata, which is right and slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from spanstream.store import conditions
from spanstream.store.engine import Collection, Engine, SetPayload
from spanstream.store.errors import StoreError
from spanstream.store.facts import facts_payload

BATCH = 256  # points
_COLLECTIONS = (Collection.DOCUMENTS, Collection.PASSAGES)


class Filling:
    """Goes once through what an open generation has without facts. Of one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._left = self._operations()

    def step(self) -> bool:
        """Fill one batch; False once there is none. Raises what the engine does, and then begins anew."""
        try:
            batch = list(islice(self._left, BATCH))
            for collection in _COLLECTIONS:
                self._engine.write(collection, [operation for of, operation in batch if of is collection])
        except StoreError:
            self._left = self._operations()
            raise
        return bool(batch)

    def _operations(self) -> Iterator[tuple[Collection, SetPayload]]:
        for collection in _COLLECTIONS:
            for record in self._engine.scroll(collection, conditions.unknown(), ("metadata", "hash")):
                if "metadata" not in record.payload:  # a point by which another process tries out a server
                    continue
                if facts := facts_payload(record.payload["metadata"]):
                    same = conditions.unchanged(record.id, record.payload.get("hash"))
                    yield collection, SetPayload(same, facts)
