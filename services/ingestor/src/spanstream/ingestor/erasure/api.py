"""The routes of erasure: deleting a source or a tenant, and receipts. For operators: keys with the scope `admin`."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.events.ids import Key
from spanstream.events.topics import ALL
from spanstream.ingestor.acceptance import RETRY_SECONDS, Acceptance, accept_and_tell
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.ingestor.documents import Delete
from spanstream.ingestor.erasure import letters
from spanstream.ingestor.erasure.holdings import Holdings, HoldingsUnavailable
from spanstream.ingestor.erasure.receipt import Receipt, Seen, receipt
from spanstream.ingestor.failures.lane import Busy, Lane
from spanstream.ingestor.heads import Caller
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.breadth import Breadth
from spanstream.runtime.guard import Trail, guarded, trail
from spanstream.runtime.problems import Problem, misfit, responses
from spanstream.runtime.signing import Signer

MAX_DELETES = 1_000  # of one request

T = TypeVar("T")


class Deletion(BaseModel):
    """So many documents were deleted now. Ask again until it is 0: what was still on its way is shown only later."""

    deleted: int = Field(le=MAX_DELETES)


class Erasure:
    """Reads back where something may still be; everything here blocks."""

    def __init__(
        self,
        log: Log,
        blobs: Blobs,
        holdings: Holdings,
        acceptance: Acceptance,
        signer: Signer | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`signer` none: receipts are not signed. `now`: seconds since 1970."""
        self._log = log
        self._blobs = blobs
        self._holdings = holdings
        self._acceptance = acceptance
        self._signer = signer
        self._now = now

    def delete(self, caller: Caller, source: str | None, trail: Trail) -> int:
        """Delete what is live or has failed of a source or of all of them, at most MAX_DELETES documents, each as the newest
        version that is known of; how many. The audit log tells of each, also where the log failed half-way. Raises
        Problem, AuditUnavailable or HoldingsUnavailable.
        """
        self._acceptance.backlog.admit(caller.tenant, delete=True)
        live = self._holdings.held(caller, source, None, MAX_DELETES).live
        deletes = [Delete(Key(caller.tenant, of, id), version) for of, id, version in live]
        return len(accept_and_tell(self._acceptance, caller, deletes, trail)) if deletes else 0

    def receipt(self, caller: Caller, source: str | None, id: str | None) -> dict[str, Any]:
        """Signed where there is a key. The index last: what came into the other places meanwhile is then in it."""
        kept = {topic.name: self._log.kept(topic.name) for topic in ALL}
        blobs = self._blobs.count(caller.tenant, source, id)
        found = letters.count(self._log, caller.tenant, source, id)
        held = self._holdings.held(caller, source, id)
        told = receipt(caller.tenant, source, id, Seen(held, blobs, found, kept), self._now())
        statement = told.model_dump(mode="json", exclude={"signature"})
        return self._signer.sign(statement) if self._signer else statement | {"signature": None}


def router(erasure: Erasure, lane: Lane, authenticator: Authenticator) -> APIRouter:
    """The routes; the lane is theirs alone: what they do may take long."""
    routes = guarded(prefix="/v1/erasures", tags=["erasure"])
    operator = Depends(authenticator.requires("admin", narrows=True))

    @routes.post(
        "",
        summary="Delete all of a source or of the tenant",
        description="At most 1,000 documents a request, each as the newest version that is applied or failed: what is newer stays."
        " A source of null, said, means all of the tenant.",
        responses=responses(400, 413, 415),
    )
    async def delete(request: Request, body: Breadth, caller: Identity = operator) -> Deletion:
        body.check(caller)
        if body.id is not None:
            raise misfit(("body.id", "is not taken here: delete a document by its own address"))
        if "source" not in body.model_fields_set:  # nobody deletes all by leaving something out
            raise misfit(("body.source", "is missing: name one, or null for all of the tenant"))
        who = Caller.of(caller, request.headers.get("authorization"))
        return Deletion(deleted=await _in(lane, lambda: erasure.delete(who, body.source, trail(request))))

    @routes.post(
        ":receipt",
        summary="What is left of what was deleted",
        description="Reads back every place where it could be, and says what was found. It changes nothing.",
        responses=responses(400, 413, 415),
        response_model=Receipt,
    )
    async def look(request: Request, body: Breadth, caller: Identity = operator) -> dict[str, Any]:
        body.check(caller)
        who = Caller.of(caller, request.headers.get("authorization"))
        return await _in(lane, lambda: erasure.receipt(who, body.source, body.id))

    return routes


async def _in(lane: Lane, work: Callable[[], T]) -> T:
    try:
        return await lane.run(work)
    except Busy as error:
        raise Problem(503, "too many ask for receipts at once", retry_after=RETRY_SECONDS) from error
    except (EventLogError, BlobsUnavailable, HoldingsUnavailable) as error:
        raise Problem(503, "log, index or blob store do not answer", retry_after=RETRY_SECONDS) from error
