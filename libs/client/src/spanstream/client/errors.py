"""Errors of the client: each branch says what the caller should do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class SpanstreamError(Exception):
    """Base of this library's errors; the message is one sentence for a person."""


class Unreachable(SpanstreamError):
    """No server answers at the address: start it, or correct the address."""


class Broken(Unreachable):
    """The connection broke or timed out on the way: the outcome is unknown; the same again is safe."""


class Unusable(SpanstreamError):
    """What `spanstream up` saved cannot be read: mend the file, remove it, or give address and key yourself. Or the address
    is none: give one that begins with http:// or https://.
    """


class NotSettled(SpanstreamError):
    """Accepted documents became neither searchable nor failed within the time allowed; they are safe and still on their way."""


class Refused(SpanstreamError):
    """The server said no. `status` is the HTTP status, `detail` its one sentence, `fields` lists (field path, what is wrong with it)."""

    def __init__(self, status: int, detail: str, fields: Sequence[tuple[str, str]] = (), request_id: str = "") -> None:
        super().__init__("; ".join([detail, *(_told(field, wrong) for field, wrong in fields)]))
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
        self.request_id = request_id


class Unauthorised(Refused):
    """The API key is missing, unknown, or not allowed to do this: use another key."""


class NotFound(Refused):
    """There is no such thing, or it belongs to somebody else."""


class Conflict(Refused):
    """This version was already given another content: use a higher version."""


class Invalid(Refused):
    """The request is malformed: correct it; the same again fails again."""


class TooLarge(Refused):
    """A document or request is over the limit: split it."""


class ServerFailed(Refused):
    """An unexpected error on the server; it logged the request id."""


class Unavailable(Refused):
    """The server cannot now, or limits the rate: try again after `retry_after` seconds. The client already tried a few times."""

    retry_after: float | None = None


def _told(field: str, wrong: str) -> str:
    """A part of a path is an argument here, so it is named as that, and once: 'source must be' of 'path.source'."""
    name = field.removeprefix("path.")
    return wrong if wrong.startswith(f"{name} ") else f"{name}: {wrong}"


_BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthorised,
    403: Unauthorised,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    413: TooLarge,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def from_problem(status: int, problem: Mapping[str, object], retry_after: float | None = None) -> Refused:
    """The error for an HTTP status and its problem document (RFC 9457), which may be empty."""
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else Invalid)
    listed = problem.get("errors")
    fields = [(str(item.get("field")), str(item.get("detail"))) for item in listed] if isinstance(listed, list) else []
    detail = str(problem.get("detail") or f"the server answered {status}")
    error = kind(status, detail, fields, str(problem.get("request_id") or ""))
    if isinstance(error, Unavailable):
        error.retry_after = retry_after
    return error
