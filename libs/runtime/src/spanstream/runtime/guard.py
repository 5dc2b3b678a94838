"""What stands around every route that asks who calls: before a byte of the body is read, and before the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from spanstream.runtime import parameters, problems, tracing
from spanstream.runtime.audit import AuditLog, AuditUnavailable
from spanstream.runtime.auth import Identity, Refused, Required
from spanstream.runtime.limits import Admitted
from spanstream.runtime.metrics import AUTH_REFUSED
from spanstream.runtime.tenants import Usage, used

_TRAIL = "spanstream.trail"  # in the scope of a request
_DENIED = (401, 403)


class Trail:
    """What is written to the audit log of one request."""

    def __init__(
        self, audit: AuditLog | None = None, event: str | None = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        """`event` none: nothing, unless it is denied. `fields`: of all its lines."""
        self._audit = audit
        self._event = event
        self._fields: dict[str, Any] = {"request": tracing.request_id(), **(fields or {})}

    def note(self, **fields: Any) -> None:
        """Say more in the lines of this request."""
        self._fields |= fields

    def documents(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A line for each document that a part of the request wrote, before that is told. Raises AuditUnavailable."""
        if self._audit is not None:
            self._audit.append([{"event": self._event, **self._fields, **row} for row in rows])

    def end(self, status: int | None) -> None:
        """The line of this request, if it is due: what was refused for its form changed nothing. Raises AuditUnavailable.

        `status` none: there is no answer, so what it did is not known.
        """
        denied = status in _DENIED
        unchanged = self._event is None or (status is not None and 400 <= status < 500)
        if self._audit is not None and (denied or not unchanged):
            event = "denied" if denied else self._event
            self._audit.append([{"event": event} | self._fields | {"status": status}])


def trail(request: Request) -> Trail:
    """Of this request."""
    found: Trail | None = request.scope.get(_TRAIL)
    return found or Trail()


class GuardedRoute(APIRoute):
    """1 who calls, and whether they may; 2 the tenant's limits; 3 the handler; 4 the audit log; then the answer.

    Of every router with routes that `Authenticator.requires` something. Other routes are left as they are.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.required = tuple(_required(self.dependant))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the base class."""
        if not self.required or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        guard = self.required[0].authenticator
        path = scope["path_params"]
        trail = Trail(guard.audit, self._event(scope), {"action": f"{scope['method']} {self.path_format}"} | path)
        scope[_TRAIL] = trail
        try:
            caller = self._caller(scope, trail)  # 1
        except Refused as refused:
            AUTH_REFUSED.labels(refused.reason.value).inc()
            trail.note(tenant=refused.tenant, subject=refused.subject, reason=refused.reason.value)
            trail.end(refused.status)
            raise
        with used(caller.tenant, self.required[0].scope) as usage, guard.limits.admit(caller.tenant) as place:  # 2
            answer = _Answer(scope, receive, send, trail, usage)
            try:
                await super().handle(scope, _metered(receive, place, usage), answer.send)  # 3, 4
            except BaseException:
                if not answer.begun:
                    trail.end(None)
                raise

    def _event(self, scope: Scope) -> str | None:
        asked = {each.scope for each in self.required} - {"read"}
        if not asked:
            return None
        if "admin" in asked:
            return "admin"
        return "delete" if scope["method"] == "DELETE" else "write"

    def _caller(self, scope: Scope, trail: Trail) -> Identity:
        for each in self.required:
            caller = each.check(scope)
            trail.note(tenant=caller.tenant, subject=caller.subject)
        return caller


def guarded(*statuses: int, route_class: type[GuardedRoute] = GuardedRoute, **options: Any) -> APIRouter:
    """A router for guarded routes that take no parameters but those that they describe. `statuses`: problems that all of
    them may answer with, besides those of any guarded route.
    """
    known = problems.responses(401, 403, 422, 429, 503, *statuses)
    return APIRouter(route_class=route_class, responses=known, dependencies=[parameters.DESCRIBED], **options)


class _Answer:
    """Sends an answer once the audit log tells of the request; where it cannot, 503 instead."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, trail: Trail, usage: Usage) -> None:
        self.begun = False
        self._usage = usage
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trail = trail
        self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._usage.status = message["status"]
            try:
                self._trail.end(message["status"])
            except AuditUnavailable as problem:
                self._replaced, self._usage.status = True, problem.status
                await problems.response(problem)(self._scope, self._receive, self._send)
        if not self._replaced:
            await self._send(message)


def _metered(receive: Receive, place: Admitted, usage: Usage) -> Receive:
    async def metered() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            usage.bytes += size
            await place.received(size)
        return message

    return metered


def _required(dependant: Dependant) -> Iterator[Required]:
    """What a route asks of its callers, however deep."""
    if isinstance(dependant.call, Required):
        yield dependant.call
    for each in dependant.dependencies:
        yield from _required(each)
