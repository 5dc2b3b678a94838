"""What the index still holds, for the ingest API in the same process: read from the store instead of asked over HTTP."""

from __future__ import annotations

from spanstream.ingestor.erasure.holdings import Held, HoldingsUnavailable
from spanstream.ingestor.heads import Caller
from spanstream.store.errors import StoreError
from spanstream.store.store import Store


class StoreHoldings:
    """See `ingestor.erasure.holdings.Holdings`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def held(self, caller: Caller, source: str | None, id: str | None, live: int = 0) -> Held:
        """See `Holdings`."""
        try:
            stored = self._store.holdings()
            heads = stored.live(caller.tenant, source, live) if live else []
            held = stored.held(caller.tenant, source, id)
        except StoreError as error:
            raise HoldingsUnavailable(type(error).__name__) from error
        return Held(
            generation=held.generation,
            documents=held.documents,
            tombstones=held.tombstones,
            passages=held.passages,
            elsewhere=held.elsewhere,
            uncleared=held.uncleared,
            deleted_at_us=held.deleted_at_us,
            cleared_at_us=held.cleared_at_us,
            live=[(head.key.source, head.key.id, head.newest) for head in heads],
        )
