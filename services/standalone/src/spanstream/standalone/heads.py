"""What the index holds, for the ingest API in the same process: read from the store instead of asked over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spanstream.events.ids import Key
from spanstream.ingestor.heads import Caller, HeadsUnavailable, Known
from spanstream.store.errors import StoreError
from spanstream.store.points import Head, State
from spanstream.store.store import Store


class StoreHeads:
    """See `ingestor.heads.Heads`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """See `Heads`."""
        try:
            heads = self._store.heads([Key(caller.tenant, source, id) for id in ids])
        except StoreError as error:
            raise HeadsUnavailable(type(error).__name__) from error
        return {key.id: _known(head) for key, head in heads.items()}


def _known(head: Head) -> Known:
    failed = head.failure is not None and head.failure.version > head.version
    return Known(head.version, head.content_hash, head.state is State.LIVE and not failed)
