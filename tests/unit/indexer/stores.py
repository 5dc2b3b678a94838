"""The real store in a folder, and one around it that fails where it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.errors import StoreRejected
from spanstream.store.points import Head, Passage
from spanstream.store.store import Store
from tests.unit.indexer.documents import GENERATION


class Killed(Exception):
    """The process ends here."""


def open_edge(folder: Path) -> EdgeStore:
    store = EdgeStore(folder)
    store.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
    return store


class Faulty:
    """Passes every call on; call number `at` raises `error`, before it is applied when `lost`, else after.

    Writes that touch the document `refuse` are refused.
    """

    def __init__(
        self,
        store: Store,
        *,
        at: int | None = None,
        lost: bool = False,
        error: Exception | None = None,
        refuse: Key | None = None,
    ) -> None:
        self.calls = 0
        self._store = store
        self._at = at
        self._lost = lost
        self._error = error or Killed()
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **named: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if number == self._at and self._lost:
                raise self._error
            result = method(*args, **named)
            if number == self._at:
                raise self._error
            return result

        return call

    def upsert_passages(self, passages: Sequence[Passage]) -> None:
        if any(passage.key == self._refuse for passage in passages):
            raise StoreRejected("no")
        self.__getattr__("upsert_passages")(passages)

    def flip_heads(self, heads: Sequence[Head]) -> list[Head]:
        if any(head.key == self._refuse for head in heads):
            raise StoreRejected("no")
        result: list[Head] = self.__getattr__("flip_heads")(heads)
        return result
