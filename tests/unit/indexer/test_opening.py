from __future__ import annotations

import threading
from typing import cast

import pytest

from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Fatal, Retry
from spanstream.indexer.opening import Opening
from spanstream.store.errors import StoreCorrupt, StoreRejected, StoreUnavailable
from spanstream.store.store import Store


class Closed:
    """A store that is not opened: it raises `error` instead."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def open(self, *given: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StoreUnavailable("away"), Retry),
        (StoreRejected("another size"), Fatal),
        (StoreCorrupt("damaged"), Fatal),
    ],
)
def test_an_index_that_does_not_open_is_no_records_fault(error: Exception, raised: type[Exception]) -> None:
    opening = Opening(cast(Store, Closed(error)), HashEncoder(8), "rules@1", None, 1.0, threading.Lock())
    with pytest.raises(raised, match=str(error)):
        opening([])
    assert not opening.done
