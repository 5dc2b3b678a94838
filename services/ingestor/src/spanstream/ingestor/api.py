"""The ingest API. 202 means durable in the log; 200 that the index holds this content already."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations, which name local variables.
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from spanstream.events.ids import MAX_VERSION, Key
from spanstream.ingestor import upload
from spanstream.ingestor.acceptance import Acceptance, Receipt
from spanstream.ingestor.batch import Batch, DuplexResponse
from spanstream.ingestor.body import chunks, json_object, lines, media_type, whole
from spanstream.ingestor.budget import Budget
from spanstream.ingestor.documents import Delete, DocumentBody, FileFields, RecordBody, Upsert, invalid, upsert
from spanstream.ingestor.heads import Caller
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime import metrics
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.forwarding import handed_on
from spanstream.runtime.guard import GuardedRoute, guarded, trail
from spanstream.runtime.names import DocumentId, SourceName, Version, key_of
from spanstream.runtime.problems import TYPES, Problem, responses

# What the gateway takes; that checks them.
_STATUS_PARAMETERS = [
    {"name": "version", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": MAX_VERSION}},
    {"name": "wait", "in": "query", "description": "seconds", "schema": {"type": "number", "minimum": 0}},
]
_JSON = frozenset({"", "application/json"})
_RECORDS = frozenset({"", "application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/json"})


class ReceiptBody(BaseModel):
    """Which document was accepted, and as which version: ask for its status with both."""

    source: str
    id: str
    version: int
    status: Literal["accepted", "unchanged"]


class _CountedRoute(GuardedRoute):
    """Counts what is refused, by problem type; who may not call is counted elsewhere."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def counted(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, RequestValidationError) as error:
                status = error.status if isinstance(error, Problem) else 422
                metrics.INGESTOR_REFUSED.labels(TYPES.get(status, "error")).inc()
                raise

        return counted


def router(
    acceptance: Acceptance, authenticator: Authenticator, settings: IngestorSettings, gateway: httpx.AsyncClient | None
) -> APIRouter:
    """The routes. With `gateway`, document status is forwarded to it."""
    routes = guarded(404, route_class=_CountedRoute, tags=["ingest"])  # 404: the path names no source
    writer = Annotated[Identity, Depends(authenticator.requires("write"))]
    reader = Annotated[Identity, Depends(authenticator.requires("read"))]
    max_text, max_body = settings.max_text_bytes, settings.max_body_bytes
    budget = Budget(settings.max_held_body_bytes, settings.largest_body_bytes)
    accepted: dict[int | str, dict[str, Any]] = {202: {"model": ReceiptBody}, 200: {"model": ReceiptBody}}

    async def accept(request: Request, caller: Identity, document: Upsert | Delete) -> Response:
        who = Caller.of(caller, request.headers.get("authorization"))
        trail(request).note(id=document.key.id, version=document.version)  # in the audit log even if what follows fails
        (receipt,) = await run_in_threadpool(acceptance.accept, who, [document])
        trail(request).note(version=receipt.version)
        return _answer(receipt)

    @routes.put(
        "/v1/sources/{source}/documents/{id:path}",
        summary="Insert or replace a document",
        responses=accepted | responses(400, 413, 415),
        openapi_extra=_body("application/json", DocumentBody),
    )
    async def put(request: Request, source: SourceName, id: DocumentId, caller: writer) -> Response:
        key = key_of(caller.tenant, source, id)
        if media_type(request) not in _JSON:
            raise Problem(415, f"send the document as application/json; a file goes to POST /v1/sources/{source}/files")
        acceptance.backlog.admit(caller.tenant)
        with budget.share(caller.tenant) as share:
            fields = json_object(await whole(request, max_body, share))
            return await accept(request, caller, await run_in_threadpool(_upsert, key, fields, max_text))

    @routes.delete("/v1/sources/{source}/documents/{id:path}", summary="Delete a document", responses=accepted)
    async def delete(
        request: Request,
        source: SourceName,
        id: DocumentId,
        caller: writer,
        version: Annotated[Version | None, Query(ge=0, le=MAX_VERSION)] = None,
    ) -> Response:
        key = key_of(caller.tenant, source, id)
        acceptance.backlog.admit(caller.tenant, delete=True)
        return await accept(request, caller, Delete(key, version))

    @routes.post(
        "/v1/sources/{source}/documents:batch",
        summary="Insert or replace many documents",
        description="One JSON object a line; a result a line, in order, while the request still arrives. `_id` may "
        "stand for `id`, and fields without a meaning here become metadata. A line that is refused has status "
        "`error` and its problem; the rest is accepted. A line without a result was not accepted. Read while you "
        "send, or send at most a few thousand lines a request.",
        responses=responses(415),
        openapi_extra=_body("application/x-ndjson", RecordBody),
        response_class=Response,
    )
    async def batch(request: Request, source: SourceName, caller: writer) -> Response:
        key_of(caller.tenant, source, "x")
        if media_type(request) not in _RECORDS:
            raise Problem(415, "send the documents as application/x-ndjson")
        acceptance.backlog.admit(caller.tenant)
        who = Caller.of(caller, request.headers.get("authorization"))
        work = Batch(acceptance, who, source, trail(request), max_line_bytes=max_body, max_text_bytes=max_text)
        share = budget.share(caller.tenant)
        results = work.results(lines(chunks(request), max_body, share), share)
        with budget.share(caller.tenant) as room:  # said before the answer begins; from then on, lines wait for room
            room.take(min(_length(request, settings.batch_bytes), settings.batch_bytes))
        return DuplexResponse(results, share, media_type="application/x-ndjson")

    @routes.post(
        "/v1/sources/{source}/files",
        summary="Insert or replace a document from a file",
        description="The file as the body (`filename` or `id`, `title`, `version`, `metadata` as JSON and `groups` "
        "separated by commas in the query), or a multipart form with `file` and the same fields.",
        responses=accepted | responses(400, 413, 415),
        openapi_extra=_body("application/octet-stream", FileFields, binary=True) | {"parameters": upload.PARAMETERS},
    )
    async def file(request: Request, source: SourceName, caller: writer) -> Response:
        key_of(caller.tenant, source, "x")
        acceptance.backlog.admit(caller.tenant)
        with budget.share(caller.tenant) as share:
            document = await upload.read(request, caller.tenant, source, settings.max_file_bytes, share)
            return await accept(request, caller, document)

    if gateway is not None:

        @routes.get(
            "/v1/sources/{source}/documents/{id:path}",
            summary="What became of a document",
            responses=responses(404),
            openapi_extra={"parameters": _STATUS_PARAMETERS},
        )
        async def status(request: Request, source: SourceName, id: DocumentId, _caller: reader) -> Response:
            # Encoded anew: a part '..' between slashes that came as they are would be taken out on the way.
            path = f"/v1/sources/{quote(source, safe='')}/documents/{quote(id, safe='')}"
            return await handed_on(gateway, request, path, "the gateway")

    return routes


def _length(request: Request, unknown: int) -> int:
    """The body's bytes, where the request says so."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else unknown


def _upsert(key: Key, fields: dict[str, Any], max_text_bytes: int) -> Upsert:
    try:
        return upsert(key, DocumentBody.model_validate(fields), max_text_bytes)
    except ValidationError as error:
        raise invalid(error) from error


def _answer(receipt: Receipt) -> Response:
    status: Literal["accepted", "unchanged"] = "unchanged" if receipt.unchanged else "accepted"
    body = ReceiptBody(source=receipt.key.source, id=receipt.key.id, version=receipt.version, status=status)
    return Response(body.model_dump_json(), 200 if receipt.unchanged else 202, media_type="application/json")


def _body(content_type: str, model: type[BaseModel], *, binary: bool = False) -> dict[str, Any]:
    """The request body for the published description; it is read by hand, as it streams."""
    schema = {"type": "string", "format": "binary"} if binary else model.model_json_schema()
    content: dict[str, Any] = {content_type: {"schema": schema}}
    if binary:
        fields = model.model_json_schema()["properties"]
        form = {
            "type": "object",
            "additionalProperties": False,
            "required": ["file"],
            "properties": {"file": schema, **fields},
        }
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}
