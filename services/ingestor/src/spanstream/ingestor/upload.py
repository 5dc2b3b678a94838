"""Uploaded files: the body as it is, or a multipart form with the file and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.ingestor.body import chunks, held, json_object, media_type, whole
from spanstream.ingestor.budget import Share
from spanstream.ingestor.documents import MAX_TITLE_CHARACTERS, FileFields, Upsert, expiry, invalid
from spanstream.ingestor.expiry import MAX_CHARACTERS
from spanstream.ingestor.parsing.kinds import TEXT_KINDS, Kind, bare, by_file_name, by_media_type, holds_records
from spanstream.ingestor.parsing.text import declared
from spanstream.runtime.names import DOCUMENT_ID
from spanstream.runtime.problems import MAX_PATH, Problem, misfit

FORM_BYTES = 2**20  # what a form may add to the file
_UNSAID = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
# Of all that Python knows, some fail, and some take minutes for a megabyte.
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "iso-8859-1"})
_FIELDS = frozenset({"id", "filename", "title", "version", "metadata", "groups", "expires_at"})

# For the published description.
PARAMETERS = [
    {"name": "id", "in": "query", "description": "of the document; none: its file's name", "schema": DOCUMENT_ID},
    {"name": "filename", "in": "query", "description": "says the type where no header does", "schema": DOCUMENT_ID},
    {"name": "title", "in": "query", "schema": {"type": "string", "maxLength": MAX_TITLE_CHARACTERS}},
    {"name": "version", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": MAX_VERSION}},
    {"name": "metadata", "in": "query", "description": "a JSON object", "schema": {"type": "string"}},
    {"name": "groups", "in": "query", "description": "separated by commas", "schema": {"type": "string"}},
    {
        "name": "expires_at",
        "in": "query",
        "description": "such as 2030-01-31T00:00:00Z",
        "schema": {"type": "string", "maxLength": MAX_CHARACTERS},
    },
]


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    content_type: str  # with its parameters
    fields: Mapping[str, str]


async def read(request: Request, tenant: str, source: str, max_bytes: int, share: Share) -> Upsert:
    """The document in the request. Raises Problem 400, 413, 415, 422, 429 or 503."""
    if media_type(request) == "multipart/form-data":
        file = await _form(request, max_bytes, share)
    else:
        content_type = request.headers.get("content-type", "")
        file = _File(await whole(request, max_bytes, share), content_type, dict(request.query_params))
    name = file.fields.get("filename", "")
    try:
        key = Key.checked(tenant, source, file.fields.get("id") or name)
    except InvalidKey as error:
        raise Problem(422, "name the document by id or filename", errors=[("query.id", str(error))]) from error
    kind = _kind(bare(file.content_type), name or key.id)
    if not file.data:
        raise Problem(422, "the file is empty")
    fields = _fields(file.fields)
    body = await run_in_threadpool(_utf8, file) if kind in TEXT_KINDS else file.data
    if len(body) > max_bytes:
        raise Problem(413, f"the file has more than {max_bytes} bytes in UTF-8")
    return Upsert(
        key,
        fields.version,
        kind.value,
        body,
        is_file=True,
        title=fields.title,
        metadata=fields.metadata,
        groups=tuple(fields.groups),
        expires_at_us=expiry(fields),
    )


async def _form(request: Request, max_bytes: int, share: Share) -> _File:
    if _charset(request.headers["content-type"]) not in _CHARSETS:
        raise Problem(400, "send the form as UTF-8")
    stream = held(chunks(request, max_bytes + FORM_BYTES), share)
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=len(_FIELDS), max_part_size=FORM_BYTES)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        too_much = error.message.startswith(("Too many", "Part exceeded"))
        raise Problem(413 if too_much else 400, "the form has too many or too large parts, or is damaged") from error
    try:
        given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise Problem(422, "the form has no file", errors=[("form.file", "is required")])
        data = await upload.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise Problem(413, f"the file has more than {max_bytes} bytes")
        named = {"filename": upload.filename} if upload.filename else {}
        if unknown := sorted(given.keys() - _FIELDS):
            raise misfit(*((f"form.{name}"[:MAX_PATH], "is no field of this request") for name in unknown))
        return _File(data, upload.content_type or "", named | dict(request.query_params) | given)
    finally:
        await form.close()


def _charset(content_type: str) -> str:
    return parse_options_header(content_type)[1].get(b"charset", b"").decode("latin-1").lower()


def _utf8(file: _File) -> bytes:
    """A text as it is kept: what its sender says it is encoded in goes no further than here."""
    text = declared(file.data, _charset(file.content_type))
    return file.data if text is None else text.encode()


def _kind(content_type: str, name: str) -> Kind:
    if holds_records(content_type, name):
        raise Problem(415, "a file of records, a line each, goes to …/documents:batch")
    kind = by_file_name(name) if content_type in _UNSAID else by_media_type(content_type)
    if kind is None:
        known = ", ".join(kind.value for kind in Kind)
        raise Problem(415, f"this type is not supported; these are: {known}")
    return kind


def _fields(given: Mapping[str, str]) -> FileFields:
    values: dict[str, Any] = {name: given[name] for name in ("title", "expires_at") if name in given}
    if "metadata" in given:
        try:
            values["metadata"] = json_object(given["metadata"].encode("utf-8", "surrogatepass"))
        except Problem as error:
            where = f": {error.detail}" if error.status == 400 else ""
            raise misfit(("query.metadata", f"must be a JSON object{where}")) from error
    if "groups" in given:
        values["groups"] = [group.strip() for group in given["groups"].split(",") if group.strip()]
    if "version" in given:
        if not (given["version"].isascii() and given["version"].isdigit() and len(given["version"]) <= 16):
            raise misfit(("query.version", "must be an integer"))
        values["version"] = int(given["version"])
    try:
        return FileFields.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from error
