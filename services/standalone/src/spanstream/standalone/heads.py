"""What the index holds, for the ingest API in the same process: read from the store instead of asked over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spanstream.events.ids import Key
from spanstream.ingestor.heads import Known, LocalHeads
from spanstream.store.errors import StoreError
from spanstream.store.points import Head, State
from spanstream.store.store import Store


@dataclass(frozen=True, slots=True)
class _Known:
    version: int
    content_hash: bytes
    live: bool


def store_heads(store: Store) -> LocalHeads:
    """The heads of `store`, as the ingest API asks for them."""

    def ask(tenant: str, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        heads = store.heads([Key(tenant, source, id) for id in ids])
        return {key.id: _known(head) for key, head in heads.items()}

    return LocalHeads(ask, (StoreError,))


def _known(head: Head) -> Known:
    failed = head.failure is not None and head.failure.version > head.version
    return _Known(head.version, head.content_hash, head.state is State.LIVE and not failed)
