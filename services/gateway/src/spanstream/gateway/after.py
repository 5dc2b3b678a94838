"""Read your writes: the receipts that a search waits for before it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_ID_CHARACTERS, MAX_VERSION, Key
from spanstream.gateway.closed import Closed
from spanstream.gateway.status import Seen, Watch, status
from spanstream.runtime.names import DocumentId, SourceName
from spanstream.store.queries import Scope

MAX_RECEIPTS = 64
AFTER_WAIT_SECONDS = 10.0  # where the caller names none
STEP = "after"  # among what an answer calls unfinished


class Receipt(Closed):
    """A version of a document that the caller has sent, as the ingest API's receipt names it."""

    source: SourceName = Field(max_length=64)
    id: DocumentId = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    version: Annotated[StrictInt, Field(ge=0, le=MAX_VERSION)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.key(Scope("any"))
        except InvalidKey as error:
            raise ValueError(str(error)) from error
        return self

    def key(self, scope: Scope) -> Key:
        """Of the caller's own tenant."""
        return Key.checked(scope.tenant, self.source, self.id)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Receipts = Annotated[
    list[Receipt],
    BeforeValidator(_listed, json_schema_input_type=Receipt | Annotated[list[Receipt], Field(max_length=MAX_RECEIPTS)]),
    Field(max_length=MAX_RECEIPTS),
]


async def settled(watch: Watch, scope: Scope, seen: Seen, receipts: Sequence[Receipt], seconds: float) -> bool:
    """Whether all are searchable, deleted, failed or superseded, at the latest after `seconds`. No thread waits meanwhile.

    `seen`: the heads that the caller may know of; any other document is waited for like an unknown one.
    """
    wanted: Mapping[Key, int | None] = _newest(scope, receipts)
    if not wanted:
        return True
    heads = await watch.heads(wanted, seconds, seen)
    return all(status(heads.get(key), version).settled for key, version in wanted.items())


def _newest(scope: Scope, receipts: Sequence[Receipt]) -> dict[Key, int]:
    wanted: dict[Key, int] = {}
    for receipt in receipts:
        key = receipt.key(scope)
        wanted[key] = max(receipt.version, wanted.get(key, 0))
    return wanted
