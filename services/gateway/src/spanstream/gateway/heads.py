"""What the index holds of some documents, for an ingest API in the same process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spanstream.events.ids import Key
from spanstream.store.points import State
from spanstream.store.store import Store


class Known(NamedTuple):
    """The newest version applied, the hash of its content, and whether it is live (not a tombstone)."""

    version: int
    content_hash: bytes
    live: bool


class Heads:
    """Looks heads up. Raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, tenant: str, source: str, ids: Sequence[str]) -> dict[str, Known]:
        """Document id -> what is known of it; ids of which nothing was ever indexed are left out."""
        heads = self._store.heads([Key(tenant, source, id) for id in ids])
        return {
            key.id: Known(head.version, head.content_hash, head.state is State.LIVE)
            for key, head in heads.items()
            if head.state is not State.ABSENT
        }
