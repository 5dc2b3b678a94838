"""`GET /v1/matches`: what standing queries found, as server-sent events."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from spanstream.eventlog.errors import EventLogError
from spanstream.ingestor.acceptance import RETRY_SECONDS
from spanstream.ingestor.matches import Matches, Stream, TooManyStreams, Wanted
from spanstream.ingestor.positions import MAX_CHARACTERS, UnknownPosition
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import guarded
from spanstream.runtime.problems import Problem, misfit

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def router(matches: Matches, authenticator: Authenticator) -> APIRouter:
    """The route."""
    routes = guarded(tags=["matches"])
    reader = Annotated[Identity, Depends(authenticator.requires("read"))]

    @routes.get(
        "/v1/matches",
        summary="Matches of standing queries, as they come",
        description="Server-sent events, from now on, or from where the `id` of an earlier event stands, in "
        "`Last-Event-ID`. A match is told at least once: the same `match_id` again is the same match. Of documents "
        "that the key may see. Comments keep the connection alive.",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def follow(
        caller: reader,
        query: Annotated[str | None, Query(min_length=1, max_length=64, description="of one query alone")] = None,
        last_event_id: Annotated[str | None, Header(max_length=MAX_CHARACTERS)] = None,
    ) -> Response:
        try:
            stream = await matches.open(Wanted(caller.tenant, caller.groups, query), last_event_id or None)
        except UnknownPosition as error:
            raise misfit(("header.last-event-id", str(error))) from error
        except TooManyStreams as error:
            raise Problem(429, "too many streams of matches are open", retry_after=RETRY_SECONDS) from error
        except EventLogError as error:
            raise Problem(503, "the log does not answer", retry_after=RETRY_SECONDS) from error
        return _Streaming(stream)

    return routes


class _Streaming(StreamingResponse):
    """Closes its stream however it ends, also before it has begun."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.events(), media_type=MEDIA_TYPE, headers=_HEADERS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the base class."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()
