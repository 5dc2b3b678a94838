"""Standing queries and their matches: the values, and the wire. Pure."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from spanstream.client import errors
from spanstream.client.effects import Request, Response
from spanstream.client.results import Span

_PATH = "/v1/standing-queries"
STREAM_SECONDS = 45.0  # without a sign of life, of which there is one every 15 s
REMEMBERED = 10_000  # matches whose repeats are not told


@dataclass(frozen=True, slots=True)
class StandingQuery:
    """A saved query. `active` false: it matches nothing until it is computed for the index's present encoder."""

    id: str
    query: str | Mapping[str, Any] = field(repr=False)
    filter: Mapping[str, Any] | None
    threshold: float
    revision: int
    active: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A document that a standing query met when it became searchable. `span` is what answers best; offsets are of the
    document's normalised text. Follow from behind it with `position`.
    """

    match_id: str
    query: str
    query_revision: int
    source: str
    id: str
    version: int
    title: str = field(repr=False)
    score: float
    span: Span
    indexed_at_us: int
    position: str = field(repr=False)


def put(id: str, query: str | Mapping[str, Any], filter: Mapping[str, Any] | None, threshold: float | None) -> Request:
    """Save one."""
    body = {"query": query, "filter": filter, "threshold": threshold}
    given = {name: value for name, value in body.items() if value is not None}
    content = json.dumps(given, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    return Request("PUT", _one(id), headers={"content-type": "application/json"}, content=content)


def get(id: str) -> Request:
    """Ask for one."""
    return Request("GET", _one(id))


def listed() -> Request:
    """Ask for all."""
    return Request("GET", _PATH)


def delete(id: str) -> Request:
    """Delete one."""
    return Request("DELETE", _one(id))


def read_one(response: Response) -> StandingQuery:
    """The answer to `put` and `get`."""
    return _query(json.loads(response.body))


def read_list(response: Response) -> list[StandingQuery]:
    """The answer to `listed`."""
    return [_query(row) for row in json.loads(response.body)["queries"]]


def read_nothing(response: Response) -> None:
    """The answer to `delete`."""


class Following:
    """Reads a stream of matches line by line, knows where to go on, and tells each match once."""

    def __init__(self, query: str | None, position: str | None) -> None:
        """`position`: of an earlier match; none: from now on."""
        self._query = query
        self._position = position
        self._event: dict[str, str] = {}
        self._told: OrderedDict[str, None] = OrderedDict()

    def request(self) -> Request:
        """The stream from where this stands."""
        self._event = {}
        headers = {} if self._position is None else {"last-event-id": self._position}
        params = {} if self._query is None else {"query": self._query}
        return Request("GET", "/v1/matches", ingest=True, params=params, headers=headers, timeout=STREAM_SECONDS)

    def line(self, line: str) -> Match | None:
        """The match that this line ends, unless it was told before."""
        if line:
            name, _, value = line.partition(":")
            self._event[name] = value.removeprefix(" ")
            return None
        event, self._event = self._event, {}
        self._position = event.get("id", self._position)
        if event.get("event") != "match" or "data" not in event:
            return None
        match = _match(json.loads(event["data"]), self._position or "")
        if match.match_id in self._told:
            return None
        self._told[match.match_id] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return match


def _one(id: str) -> str:
    if id in ("", ".", ".."):
        raise errors.Invalid(422, "the id of a standing query must not be empty, '.' or '..'")
    return f"{_PATH}/{quote(id, safe='')}"


def _query(row: Mapping[str, Any]) -> StandingQuery:
    names = ("id", "query", "filter", "threshold", "revision", "active")
    return StandingQuery(**{name: row[name] for name in names})


def _match(row: Mapping[str, Any], position: str) -> Match:
    names = ("match_id", "query", "query_revision", "source", "id", "version", "title", "score", "indexed_at_us")
    span = Span(row["span"]["start"], row["span"]["end"], row["span"]["text"], row["score"])
    return Match(**{name: row[name] for name in names}, span=span, position=position)
