"""Batches: one JSON object a line in, one result a line out, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import Key
from spanstream.ingestor.acceptance import Acceptance, Receipt, accept_and_tell
from spanstream.ingestor.body import json_object
from spanstream.ingestor.budget import Share
from spanstream.ingestor.documents import RecordBody, Upsert, invalid, upsert
from spanstream.ingestor.heads import Caller
from spanstream.runtime import metrics
from spanstream.runtime.guard import Trail
from spanstream.runtime.problems import TYPES, Problem

GROUP_LINES = 200  # of one acknowledgement; 200 small documents cost the log about 10 ms
GROUP_BYTES = 8 * 2**20
BEHIND = 2  # lines that come on top of a group's bytes: the one that filled it, and the next, which is being read
IDLE_SECONDS = 0.02  # a line is not held back longer than this to wait for more
_OWN = frozenset(RecordBody.model_fields)
_OPTIONAL = frozenset({"title", "metadata", "groups", "version", "content_type", "expires_at"})

Line = tuple[int, bytes | None]


class Batch:
    """One request. `Unavailable` ends it early: lines without a result were not accepted."""

    def __init__(
        self,
        acceptance: Acceptance,
        caller: Caller,
        source: str,
        trail: Trail,
        *,
        max_line_bytes: int,
        max_text_bytes: int,
    ) -> None:
        self._acceptance = acceptance
        self._caller = caller
        self._source = source
        self._trail = trail
        self._max_line_bytes = max_line_bytes
        self._max_text_bytes = max_text_bytes

    async def results(self, lines: AsyncIterator[Line], share: Share) -> AsyncGenerator[bytes, None]:
        """Result lines, several per item. Memory is bounded by one group of lines, which `share` holds until then."""
        async with aclosing(_grouped(lines)) as groups:
            async for group in groups:
                answer, available = await asyncio.to_thread(self._process, group)
                share.give(sum(len(line or b"") for _, line in group))
                yield answer
                if not available:
                    return

    def _process(self, group: Sequence[Line]) -> tuple[bytes, bool]:
        """The group's result lines, and whether the log took it."""
        documents: list[Upsert] = []
        rows: list[Callable[[Sequence[Receipt | Problem]], dict[str, Any]]] = []
        for number, line in group:
            id: Any = None
            try:
                if line is None:
                    raise Problem(413, f"the line has more than {self._max_line_bytes} bytes")
                fields = json_object(line)
                id = fields.get("_id", fields.get("id"))
                documents.append(self._document(fields))
                rows.append(_accepted(number, len(documents) - 1, documents[-1].key))
            except Problem as problem:
                rows.append(_refused(number, id, problem))
        available = True
        outcomes: Sequence[Receipt | Problem]
        try:
            outcomes = self._accept(documents)
        except Problem as problem:
            outcomes, available = [problem] * len(documents), problem.status not in (429, 503)
        answer = b"".join(orjson.dumps(row(outcomes)) + b"\n" for row in rows)
        return answer, available

    def _accept(self, documents: Sequence[Upsert]) -> Sequence[Receipt]:
        self._acceptance.backlog.admit(self._caller.tenant)
        return accept_and_tell(self._acceptance, self._caller, documents, self._trail)

    def _document(self, fields: dict[str, Any]) -> Upsert:
        body = _validated(fields)
        try:
            key = Key.checked(self._caller.tenant, self._source, body.id)
        except InvalidKey as error:
            raise Problem(422, "the line does not fit the schema", errors=[("line", str(error))]) from error
        return upsert(key, body, self._max_text_bytes)


def _validated(fields: dict[str, Any]) -> RecordBody:
    """`_id` is `id`; fields that are not ours are metadata; null is as good as absent."""
    known = {
        name: value for name, value in fields.items() if name in _OWN and not (value is None and name in _OPTIONAL)
    }
    other = {name: value for name, value in fields.items() if name not in _OWN and name != "_id"}
    if "_id" in fields:
        if "id" in fields:
            raise Problem(422, "the line does not fit the schema", errors=[("line", "has both id and _id")])
        known["id"] = fields["_id"]
    if other:
        metadata = known.setdefault("metadata", {})
        if isinstance(metadata, dict):
            if metadata.keys() & other.keys():
                raise Problem(422, "the line does not fit the schema", errors=[("line.metadata", "repeats a field")])
            known["metadata"] = metadata | other
    try:
        return RecordBody.model_validate(known)
    except ValidationError as error:
        problem = invalid(error, "line")
        if "_id" in fields:  # named as it was written
            problem.errors = [("line._id" if field == "line.id" else field, wrong) for field, wrong in problem.errors]
        raise problem from error


async def _grouped(lines: AsyncIterator[Line]) -> AsyncGenerator[list[Line], None]:
    """Groups of lines: full ones, and what there is when no more arrives for a moment, since the client may be waiting."""
    group: list[Line] = []
    size = 0
    coming: asyncio.Future[Line] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(lines))
            done, _ = await asyncio.wait([coming], timeout=IDLE_SECONDS if group else None)
            if done:
                try:
                    line = coming.result()
                except StopAsyncIteration:
                    break
                finally:
                    coming = None
                group.append(line)
                size += len(line[1] or b"")
            if not done or len(group) >= GROUP_LINES or size >= GROUP_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group
    finally:
        if coming is not None:
            coming.cancel()


def _accepted(number: int, index: int, key: Key) -> Callable[[Sequence[Receipt | Problem]], dict[str, Any]]:
    def row(outcomes: Sequence[Receipt | Problem]) -> dict[str, Any]:
        outcome = outcomes[index]
        if isinstance(outcome, Problem):
            return _refused(number, key.id, outcome)(outcomes)
        status = "unchanged" if outcome.unchanged else "accepted"
        return {"line": number, "source": key.source, "id": key.id, "version": outcome.version, "status": status}

    return row


def _refused(number: int, id: Any, problem: Problem) -> Callable[[Sequence[Receipt | Problem]], dict[str, Any]]:
    metrics.INGESTOR_REFUSED.labels(TYPES.get(problem.status, "error")).inc()
    known = {"id": id} if isinstance(id, str) and len(id) <= 1_000 else {}
    return lambda outcomes: {"line": number, **known, "status": "error", "problem": problem.body()}


class DuplexResponse(StreamingResponse):
    """Streams while the request still arrives. The usual class would itself read the request, to see the client go."""

    def __init__(self, content: AsyncGenerator[bytes, None], share: Share, media_type: str) -> None:
        """`content` is closed at the end, and then `share` given back: in this order, since it is read ahead."""
        super().__init__(content, media_type=media_type)
        self._content = content
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything. A request that breaks off ends the answer: its head is sent, and nobody reads on."""
        with self._share, suppress(Problem):
            async with aclosing(self._content):
                await self.stream_response(send)
