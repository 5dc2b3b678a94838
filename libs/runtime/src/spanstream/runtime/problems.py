"""Errors over HTTP: problem+json (RFC 9457) with a fixed type, a request id and field paths; never the value sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from spanstream.runtime import tracing
from spanstream.runtime.headers import DEFAULTS
from spanstream.runtime.logs import get_logger

log = get_logger()

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # of one problem
MAX_PATH = 200  # characters of a field's path: callers make up names

TYPES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    409: "conflict",
    413: "too-large",
    414: "address-too-long",
    415: "unsupported-type",
    422: "invalid",
    429: "rate-limited",
    431: "headers-too-large",
    500: "internal",
    501: "not-implemented",
    502: "bad-gateway",
    503: "unavailable",
}


_MODELS = "#/components/schemas/"  # where an OpenAPI description keeps them
_KNOWN = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this request",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
_JSON = re.compile(r"application/([^;]+\+)?json\s*(;|$)", re.IGNORECASE)  # the types whose bodies the framework reads
_SUBJECT = re.compile(r"^(Value error, |(Input|String|List|Dictionary|Data) (?=should ))")


class Problem(Exception):
    """Raise it anywhere below a route. `errors` lists (field path, what is wrong)."""

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[tuple[str, str]] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The problem document, without the request id."""
        kind = TYPES.get(self.status, "error")
        body: dict[str, Any] = {"type": f"urn:spanstream:problem:{kind}", "title": kind, "status": self.status}
        body["detail"] = self.detail
        if self.errors:
            body["errors"] = [{"field": field, "detail": detail} for field, detail in self.errors]
        return body


class WrongField(BaseModel):
    """A part of the request, such as `body.limit`, and what is wrong with it."""

    field: str
    detail: str


class ProblemBody(BaseModel):
    """What is wrong (RFC 9457). `title` is the last word of `type`; `request_id` finds the request in log (`trace_id`), audit log (`request`) and traces."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[WrongField] = []


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's published description: the problems that it may answer with. `install` describes their body."""
    return {status: {"description": TYPES[status]} for status in statuses}


def response(problem: Problem) -> JSONResponse:
    """The HTTP response for a problem."""
    headers = dict(DEFAULTS)  # here too: the framework answers an unexpected error outside of all that adds them
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    body = problem.body() | {"request_id": tracing.request_id()}
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


def misfit(*errors: tuple[str, str]) -> Problem:
    """A request that its schema does not admit: (field path, what is wrong) each."""
    return Problem(422, "the request does not fit the schema", errors=errors)


def invalid(items: Sequence[Any], *where: str) -> Problem:
    """The problem behind a failed validation, from pydantic's `errors()`: field paths below `where`, never values.

    A part in angle brackets is a union's tag, which the caller did not write, and is left out of the path.
    """
    errors = [(".".join([*where, *_path(item)])[:MAX_PATH], _words(item)) for item in items[:MAX_ERRORS]]
    return misfit(*errors)


def _path(item: Any) -> list[str]:
    return [part for part in map(str, item["loc"]) if not (part.startswith("<") and part.endswith(">"))]


def _words(item: Any) -> str:
    """What is wrong, as the rest of a sentence that begins with the field."""
    return _KNOWN.get(item["type"]) or _SUBJECT.sub("", item["msg"])


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document, and its published description say so."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        schema = describe()
        _describe_problems(schema)
        return schema

    app.openapi = described  # type: ignore[method-assign]

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> JSONResponse:
        return response(error)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return response(Problem(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        items = error.errors()
        if any(item["type"] == "json_invalid" for item in items):
            return response(Problem(400, "the body is not valid JSON"))
        unread = any(tuple(item["loc"]) == ("body",) and item["type"] != "missing" for item in items)
        if unread and not _JSON.match(request.headers.get("content-type", "")):
            return response(Problem(415, "send the request as application/json"))
        return response(invalid(items))

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        path = request.scope["route"].path if "route" in request.scope else ""
        log.error("request_failed", trace_id=tracing.request_id(), path=path, exc_info=error)  # the span has ended
        return response(Problem(500, "an unexpected error; it has been logged"))


def _describe_problems(schema: dict[str, Any]) -> None:
    """Give every error of an OpenAPI description the body it has here, instead of the framework's; idempotent."""
    body = {"content": {MEDIA_TYPE: {"schema": {"$ref": f"{_MODELS}{ProblemBody.__name__}"}}}}
    for path in schema["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if status[0] in "45":
                    answer |= body
    models = schema.setdefault("components", {}).setdefault("schemas", {})
    for framework in ("HTTPValidationError", "ValidationError"):
        models.pop(framework, None)
    _, ours = models_json_schema([(ProblemBody, "serialization")], ref_template=f"{_MODELS}{{model}}")
    models |= ours["$defs"]
