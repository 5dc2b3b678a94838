"""What every store that is written to needs beside the writing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spanstream.eventlog.errors import Retry
from spanstream.indexer.opening import RETRY_SECONDS
from spanstream.runtime.logs import get_logger
from spanstream.store.errors import StoreUnavailable
from spanstream.store.store import Store


def flushed(store: Store) -> Callable[[], None]:
    """A loop's `flush`: a store that does not answer lets the commit wait."""

    def flush() -> None:
        try:
            store.flush()
        except StoreUnavailable as error:
            raise Retry(RETRY_SECONDS, str(error)) from error

    return flush


def maintain(store: Store, stop: threading.Event, vacuum_hours: float) -> None:
    """The store's housekeeping until none is left. What it did not do because the store does not answer it does next time."""
    try:
        while store.maintain() and not stop.is_set():
            pass
        store.vacuum(int(time.time() * 1e6 - vacuum_hours * 3.6e9))
    except StoreUnavailable as error:
        get_logger().warning("maintenance_failed", detail=str(error))
