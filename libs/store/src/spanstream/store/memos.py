"""What services that share a store tell each other through it, beside all generations: few small notes, each replaced whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from spanstream.store.conditions import Ids
from spanstream.store.engine import Collection, Delete, Engine, Point, Record, Upsert
from spanstream.store.errors import StoreUnavailable
from spanstream.store.queries import Match

_NAMES = uuid.UUID("5b0c9d1e-93c7-4c55-9a39-6f8f1f2b7f11")
_KIND = "memo_kind"
_KEPT = Collection.QUERIES  # which belongs to no generation; a point without a tenant is no standing query


class Memos:
    """Raises what the store does. A note that is written is what all read from then on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, name: str) -> dict[str, Any] | None:
        """None: there is none of this name."""
        records = self._engine.retrieve(_KEPT, [_id(name)])
        return _told(records[0]) if records else None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Those whose names are `kind/…`."""
        return [_told(record) for record in self._engine.scroll(_KEPT, Match(_KIND, (kind,)), ["memo"])]

    def write(self, name: str, told: Mapping[str, Any]) -> None:
        """In place of what was there. `told`: plain JSON."""
        payload = {"memo": json.dumps(told), _KIND: name.partition("/")[0]}
        self._engine.write(_KEPT, [Upsert(Point(_id(name), payload, {}))])

    def forget(self, name: str) -> None:
        """Idempotent."""
        self._engine.write(_KEPT, [Delete(Ids((_id(name),)))])


def _told(record: Record) -> dict[str, Any]:
    try:
        return dict(json.loads(record.payload["memo"]))
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable() from error


def unreadable() -> StoreUnavailable:
    """Nobody may guess what a note says: what waits for it goes on once a process of the version that wrote it has."""
    return StoreUnavailable("a note of a process of another version cannot be read: give all services the same version")


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMES, name))
