"""Records that failed, by cause: the values, and the wire. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

from spanstream.client import errors, flows
from spanstream.client.effects import Flow, Request, Response

PAGE = 1_000  # records of one answer, the server's limit
AT_ONCE = 1_000  # records that one request may replay or discard, the server's limit
SECONDS = 120.0  # for an answer that waits for others' replays
STALLED = 5  # answers in a row that nothing was done in, until it is given up

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Open dead letters of one cause. `meaning` says the reason in words, `detail` what the newest adds to it; `replayable`
    of the `count` can be sent again. Times are microseconds since 1970.
    """

    fingerprint: str
    stage: str
    reason: str
    meaning: str
    detail: str
    count: int
    replayable: int
    documents: int
    first_at_us: int
    last_at_us: int
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The last to fail first. `left_out`: there are more in the log, which are counted once these are resolved."""

    groups: tuple[FailureGroup, ...]
    left_out: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that failed. `replays`: how often it had been sent again by then; `version` 0: it could not be read."""

    id: str
    source: str
    document: str
    version: int
    detail: str
    attempts: int
    replays: int
    failed_at_us: int
    topic: str
    partition: int
    offset: int
    bytes: int
    replayable: bool


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """A group and some of its records, the newest first. `cursor`: for those behind, None where there are none."""

    group: FailureGroup
    records: tuple[DeadLetter, ...]
    cursor: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Resolution:
    """So many were replayed or discarded (after a dry run: would be), so many of the group are left; `unreplayable`: without
    the bytes that a replay needs.
    """

    done: int
    left: int
    unreplayable: int


class Selection(TypedDict, total=False):
    """Which records of a cause; all may be left out."""

    ids: list[str] | None  # these alone, at most a thousand
    limit: int | None  # at most so many, the oldest first
    dry_run: bool  # only say how many
    on_progress: Callable[[Resolution], None]  # called with each answer


def listed() -> Request:
    """Ask for the groups."""
    return Request("GET", "/v1/failures", ingest=True)


def shown(fingerprint: str, limit: int, cursor: str | None) -> Request:
    """Ask for a page of a group's records."""
    params = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
    return Request("GET", _path(fingerprint), ingest=True, params=params)


def resolve(verb: str, fingerprint: str, body: Mapping[str, Any]) -> Request:
    """Replay or discard."""
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    path = f"{_path(fingerprint)}:{verb}"
    return Request("POST", path, ingest=True, headers=headers, content=content, timeout=SECONDS)


def resolving(
    verb: str, fingerprint: str, selection: Selection, rate_per_second: int | None = None
) -> Flow[Resolution]:
    """Ask, over and over, until all that had failed when it began is done, or `limit` of it."""
    limit, dry_run, note = selection.get("limit"), selection.get("dry_run", False), selection.get("on_progress")
    given = {"ids": selection.get("ids"), "rate_per_second": rate_per_second}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    told, until, stalled = Resolution(0, 0, 0), None, 0
    while True:
        wanted = AT_ONCE if limit is None else min(AT_ONCE, limit - told.done)
        asked = body | {"limit": wanted, "dry_run": dry_run} | ({} if until is None else {"until": until})
        try:
            row = yield from flows.call(resolve(verb, fingerprint, asked), _row)
        except errors.NotFound:
            if until is None:
                raise
            return Resolution(told.done, 0, told.unreplayable)  # somebody else has resolved the rest
        until, stalled = row["until"], 0 if row["done"] else stalled + 1
        told = Resolution(told.done + row["done"], row["left"], row["unreplayable"])
        if dry_run:  # one request counts no further than it may do
            more = told.left if limit is None else min(told.left, limit - told.done)
            return Resolution(told.done + more, told.left - more, told.unreplayable)
        if note is not None:
            note(told)
        if not told.left or told.done == limit:
            return told
        if stalled == STALLED:
            raise errors.NotSettled(f"{told.left} dead letters are left, and none of them moves")


def read_groups(response: Response) -> FailureGroups:
    """The answer to `listed`."""
    body = _row(response)
    return FailureGroups(tuple(map(_group, body["groups"])), bool(body["left_out"]))


def read_records(response: Response) -> DeadLetters:
    """The answer to `shown`."""
    body = _row(response)
    return DeadLetters(_group(body["group"]), tuple(_of(DeadLetter, row) for row in body["records"]), body["cursor"])


def _group(row: Mapping[str, Any]) -> FailureGroup:
    return _of(FailureGroup, {**row, "samples": tuple(row["samples"])})


def _of(kind: type[T], row: Mapping[str, Any]) -> T:
    return kind(**{each.name: row[each.name] for each in fields(kind)})  # type: ignore[arg-type]


def _row(response: Response) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(response.body)
    return row


def _path(fingerprint: str) -> str:
    if fingerprint in ("", ".", ".."):
        raise errors.Invalid(422, "the fingerprint must not be empty, '.' or '..'")
    return f"/v1/failures/{quote(fingerprint, safe='')}"
