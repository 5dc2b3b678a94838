"""What the index still holds of a document, a source or a tenant: for the ingest API, which signs it in a receipt."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from collections.abc import Callable

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from spanstream.gateway.live import View
from spanstream.gateway.problems import translated
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.breadth import Breadth
from spanstream.runtime.guard import guarded
from spanstream.runtime.problems import responses

MAX_LIVE = 1_000


class HoldingsRequest(Breadth):
    """`live`: at most so many of the documents that are there to be deleted are named."""

    live: int = Field(0, ge=0, le=MAX_LIVE)


class LiveDocument(BaseModel):
    """A document that is there to be deleted, and its newest version, which may have failed."""

    source: str
    id: str
    version: int


class HoldingsResponse(BaseModel):
    """Numbers of points, exactly. `documents` without tombstones. `elsewhere`: in each other generation that is kept.
    `uncleared`: tombstones in each of those above what is still in its files. Times are microseconds since 1970: when the last tombstone was written (0: there is none), and before when whatever was
    deleted is in no file of the engine any more (null: it does not tell).
    """

    generation: str
    documents: int
    tombstones: int
    passages: int
    elsewhere: dict[str, int]
    uncleared: dict[str, int]
    deleted_at_us: int
    cleared_at_us: int | None
    live: list[LiveDocument]


def router(view: Callable[[], View], authenticator: Authenticator) -> APIRouter:
    """The route. `view()` raises StoreUnavailable until the index is open."""
    routes = guarded(tags=["erasure"])
    operator = Depends(authenticator.requires("admin", narrows=True))

    @routes.post("/v1/holdings", summary="What the index still holds", responses=responses(400, 413, 415))
    def holdings(request: HoldingsRequest, caller: Identity = operator) -> HoldingsResponse:
        request.check(caller)
        with translated():
            found = view().store.holdings()
            live = found.live(caller.tenant, request.source, request.live) if request.live else []
            held = found.held(caller.tenant, request.source, request.id)
        return HoldingsResponse(
            generation=held.generation,
            documents=held.documents,
            tombstones=held.tombstones,
            passages=held.passages,
            elsewhere=dict(held.elsewhere),
            uncleared=dict(held.uncleared),
            deleted_at_us=held.deleted_at_us,
            cleared_at_us=held.cleared_at_us,
            live=[LiveDocument(source=head.key.source, id=head.key.id, version=head.newest) for head in live],
        )

    return routes
