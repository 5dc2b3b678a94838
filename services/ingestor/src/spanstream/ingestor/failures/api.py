"""The routes of the dead-letter workbench. A caller sees and resolves the dead letters of its own documents alone."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Path, Query

from spanstream.eventlog.errors import EventLogError
from spanstream.events.ids import FINGERPRINT_PATTERN
from spanstream.ingestor.acceptance import RETRY_SECONDS
from spanstream.ingestor.failures import models
from spanstream.ingestor.failures.following import Following, Open, StillReading
from spanstream.ingestor.failures.groups import grouped, order
from spanstream.ingestor.failures.lane import Busy, Lane
from spanstream.ingestor.failures.letter import Letter
from spanstream.ingestor.failures.models import FailedRecords, FailureGroups, ReplayBody, Resolution, Selection
from spanstream.ingestor.failures.resolving import Resolving
from spanstream.ingestor.positions import UnknownPosition, decoded, encoded
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import guarded
from spanstream.runtime.problems import Problem, misfit, responses

MAX_CURSOR = 400  # characters: a time and an id

T = TypeVar("T")
Fingerprint = Annotated[str, Path(pattern=f"^{FINGERPRINT_PATTERN}$", description="of a group, as it was listed")]


def router(
    following: Following, resolving: Resolving, reading: Lane, acting: Lane, authenticator: Authenticator
) -> APIRouter:
    """The routes; the lanes are for what only looks, and for what replays and discards."""
    routes = guarded(prefix="/v1/failures", tags=["failures"])
    reader, writer = (Depends(authenticator.requires(scope, narrows=True)) for scope in ("read", "write"))

    def visible(caller: Identity, fingerprint: str | None = None) -> tuple[list[Letter], Open]:
        found = following.open(caller.tenant)  # of no tenant at all are those that do not say whose they are: nobody's
        admitted = [letter for letter in found.letters if letter.admits(caller.groups, caller.sources)]
        chosen = [letter for letter in admitted if fingerprint in (None, letter.fingerprint)]
        if fingerprint is not None and not chosen:
            raise Problem(404, "no open failures have this fingerprint")
        return sorted(chosen, key=order), found

    @routes.get("", summary="What failed, by cause", description="Open dead letters, in groups of one cause.")
    async def groups(caller: Identity = reader) -> FailureGroups:
        def look() -> FailureGroups:
            letters, found = visible(caller)
            shown = [models.FailureGroup.of(group) for group in grouped(letters)[: models.MAX_GROUPS]]
            return FailureGroups(groups=shown, left_out=found.left_out)

        return await _in(reading, look)

    @routes.get("/{fingerprint}", summary="The records of one cause", responses=responses(404))
    async def records(
        fingerprint: Fingerprint,
        caller: Identity = reader,
        limit: Annotated[int, Query(ge=1, le=models.MAX_RECORDS)] = 100,
        cursor: Annotated[str | None, Query(max_length=MAX_CURSOR, description="of the page before")] = None,
    ) -> FailedRecords:
        before = None if cursor is None else _read_cursor(cursor)

        def look() -> FailedRecords:
            letters, _ = visible(caller, fingerprint)
            (group,) = grouped(letters)
            rest = [letter for letter in reversed(letters) if before is None or order(letter) < before]
            page = [models.FailedRecord.of(letter) for letter in rest[:limit]]
            more = _cursor(rest[limit - 1]) if len(rest) > limit else None
            return FailedRecords(group=models.FailureGroup.of(group), records=page, cursor=more)

        return await _in(reading, look)

    @routes.post(
        "/{fingerprint}:replay",
        summary="Send records that failed again",
        description="The bytes that were kept, to the topic that they came from, at a bounded rate. Safe in any order and "
        "as often as you like: an old version never overwrites a newer one. Ask again, with the `until` of the answer, "
        "while any are `left`.",
        responses=responses(400, 404, 415),
    )
    async def replay(
        fingerprint: Fingerprint, body: ReplayBody, caller: Identity = writer, _reads: Identity = reader
    ) -> Resolution:
        def send() -> Resolution:
            letters, until = select(fingerprint, body, caller)
            sent = [letter for letter in letters if letter.replayable]
            done = _most(body, sent, lambda chosen: resolving.replay(chosen, body.rate_per_second))
            return Resolution(done=done, left=len(sent) - done, unreplayable=len(letters) - len(sent), until=until)

        return await _in(acting, send)

    @routes.post(
        "/{fingerprint}:discard",
        summary="Let records that failed be",
        description="They are listed no more, and stay in the log. The documents' status stays `failed`. Ask again, with "
        "the `until` of the answer, while any are `left`.",
        responses=responses(400, 404, 415),
    )
    async def discard(
        fingerprint: Fingerprint, body: Selection, caller: Identity = writer, _reads: Identity = reader
    ) -> Resolution:
        def drop() -> Resolution:
            letters, until = select(fingerprint, body, caller)
            done = _most(body, letters, resolving.discard)
            lost = sum(not letter.replayable for letter in letters)
            return Resolution(done=done, left=len(letters) - done, unreplayable=lost, until=until)

        return await _in(acting, drop)

    def select(fingerprint: str, body: Selection, caller: Identity) -> tuple[list[Letter], str]:
        """The oldest first, and until where in the log they lie. Ids that are not open in the group are passed over."""
        letters, found = visible(caller, fingerprint)
        until = found.until if body.until is None else _read_until(body.until)
        ids = None if body.ids is None else frozenset(body.ids)
        chosen = [letter for letter in letters if letter.place[1] < until.get(letter.place[0], 0)]
        return [letter for letter in chosen if ids is None or str(letter.origin) in ids], encoded(until)

    return routes


async def _in(lane: Lane, work: Callable[[], T]) -> T:
    try:
        return await lane.run(work)
    except Busy as error:
        raise Problem(503, "too many ask for failures at once", retry_after=RETRY_SECONDS) from error
    except StillReading as error:
        raise Problem(503, "the failures are still being read", retry_after=1) from error
    except EventLogError as error:
        raise Problem(503, "the log does not answer", retry_after=RETRY_SECONDS) from error


def _most(body: Selection, letters: Sequence[Letter], act: Callable[[Sequence[Letter]], int]) -> int:
    chosen = letters[: body.limit]
    return len(chosen) if body.dry_run else act(chosen)


def _cursor(letter: Letter) -> str:
    time, name = order(letter)
    return f"{time}~{name}"


def _read_cursor(cursor: str) -> tuple[int, str]:
    time, tilde, name = cursor.partition("~")
    if not tilde or not time.isascii() or not time.isdigit():
        raise misfit(("query.cursor", "is not one that was given out"))
    return int(time), name


def _read_until(until: str) -> dict[int, int]:
    try:
        return decoded(until)
    except UnknownPosition as error:
        raise misfit(("body.until", "is not one that was given out")) from error
