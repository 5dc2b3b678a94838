"""What services that share a store tell each other through it, beside all generations: few small notes, each replaced whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from spanstream.store.conditions import Ids
from spanstream.store.engine import Collection, Delete, Engine, Point, Upsert

_NAMES = uuid.UUID("5b0c9d1e-93c7-4c55-9a39-6f8f1f2b7f11")
_KEPT = Collection.QUERIES  # which belongs to no generation; a point without a tenant is no standing query


class Memos:
    """Raises what the store does. A note that is written is what all read from then on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, name: str) -> dict[str, Any] | None:
        """None: there is none of this name."""
        records = self._engine.retrieve(_KEPT, [_id(name)])
        told: dict[str, Any] | None = json.loads(records[0].payload["memo"]) if records else None
        return told

    def write(self, name: str, told: Mapping[str, Any]) -> None:
        """In place of what was there. `told`: plain JSON."""
        self._engine.write(_KEPT, [Upsert(Point(_id(name), {"memo": json.dumps(told)}, {}))])

    def forget(self, name: str) -> None:
        """Idempotent."""
        self._engine.write(_KEPT, [Delete(Ids((_id(name),)))])


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMES, name))
