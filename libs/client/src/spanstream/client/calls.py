"""The wire, and nothing else: a request for each route, and the value in each answer. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from spanstream.client import errors, reading
from spanstream.client.documents import Document, File, Line, Record
from spanstream.client.effects import Request, Response
from spanstream.client.explanations import Miss
from spanstream.client.options import SearchOptions
from spanstream.client.options import body as search_body
from spanstream.client.results import Content, Failure, Hit, Passage, Receipt, SearchResult, Source, Span, Status

MAX_STATUSES = 1000  # ids in one question, the server's limit
MAX_PASSAGES = 200  # of a page of a document, the server's limit
_JSON = {"content-type": "application/json"}
_NDJSON = {"content-type": "application/x-ndjson"}


def put(source: str, document: Document) -> Request:
    """Upsert one document. Raises TypeError for a mapping, as `ingest` takes it."""
    if not isinstance(document, Document):
        raise TypeError(f"put takes a Document(id, text), not a {type(document).__name__}; ingest takes both")
    return Request("PUT", _document(source, document.id), ingest=True, headers=_JSON, content=_encode(_body(document)))


def delete(source: str, id: str, version: int | None) -> Request:
    """Delete one document."""
    return Request("DELETE", _document(source, id), ingest=True, params=_given(version=version))


def batch(source: str, lines: Sequence[bytes]) -> Request:
    """Upsert many documents: one JSON object a line."""
    return Request(
        "POST", f"{_documents(source)}:batch", ingest=True, headers=_NDJSON, content=b"".join(lines), timeout=120
    )


def upload(source: str, file: File) -> Request:
    """Upsert a file as it is. Reads it: may raise OSError; raises Invalid for an id that is not Unicode."""
    _part(file.id)
    params = _given(id=file.id, title=file.title or None, version=file.version)
    headers = {"content-type": file.content_type or "application/octet-stream"}
    return Request(
        "POST",
        f"/v1/sources/{_part(source)}/files",
        ingest=True,
        params=params,
        headers=headers,
        content=file.path.read_bytes(),
        timeout=120,
    )


def erase(source: str | None) -> Request:
    """Delete what a source holds, or the tenant."""
    return Request("POST", "/v1/erasures", True, {}, _JSON, _encode({"source": source}), timeout=120)


def erasure_receipt(source: str | None, id: str | None) -> Request:
    """What is left of what was deleted."""
    body = _encode(_given(source=source, id=id))
    return Request("POST", "/v1/erasures:receipt", True, {}, _JSON, body, timeout=120)


def status(source: str, id: str, version: int | None, wait: float | None) -> Request:
    """The state of one document; `wait` seconds for it to settle."""
    timeout = None if wait is None else wait + 30
    return Request("GET", _document(source, id), params=_given(version=version, wait=wait), timeout=timeout)


def statuses(source: str, asked: Sequence[tuple[str, int | None]], wait: float = 0.0) -> Request:
    """The states of up to MAX_STATUSES documents; `wait` up to so many seconds until all are settled."""
    body = {"documents": [{"id": id} | _given(version=version) for id, version in asked], "wait": wait}
    return Request("POST", f"{_documents(source)}:status", headers=_JSON, content=_encode(body))


def content(source: str, id: str, first: int) -> Request:
    """A page of a document's passages."""
    return Request("GET", f"{_document(source, id)}/content", params={"from": first, "limit": MAX_PASSAGES})


def search(query: str | Mapping[str, Any], options: SearchOptions) -> Request:
    """A search."""
    return Request("POST", "/v1/search", headers=_JSON, content=_encode(_searched(query, options)))


def similar(source: str, id: str, start: int | None, end: int | None, options: SearchOptions) -> Request:
    """A search for more like a document, or like its characters `start` to `end`."""
    body = {"to": {"source": source, "id": id} | _given(start=start, end=end)} | search_body(options)
    return Request("POST", "/v1/similar", headers=_JSON, content=_encode(body))


def explain_miss(
    query: str | Mapping[str, Any], source: str, id: str, version: int | None, options: SearchOptions
) -> Request:
    """Why a document is not among the hits of a search."""
    body = {"query": _searched(query, options), "document": {"source": source, "id": id} | _given(version=version)}
    return Request("POST", "/v1/explain-miss", headers=_JSON, content=_encode(body), timeout=120)


def _searched(query: str | Mapping[str, Any], options: SearchOptions) -> dict[str, Any]:
    return {"query": query if isinstance(query, str) else dict(query)} | search_body(options)


def sources() -> Request:
    """All sources of the caller."""
    return Request("GET", "/v1/sources")


def line(item: Document | Line | Record | bytes) -> bytes:
    """One line of a batch; bytes are taken as a line that is already JSON."""
    if isinstance(item, Line):
        item = item.data
    if isinstance(item, bytes):
        return item.strip().replace(b"\n", b" ") + b"\n"
    body = {"id": item.id} | _body(item) if isinstance(item, Document) else item
    return _encode(body) + b"\n"


def read_receipt(response: Response) -> Receipt:
    """The answer to `put`, `delete` and `upload`."""
    return _receipt(_object(response))


def read_batch(response: Response) -> list[tuple[int, Receipt | errors.Refused, str]]:
    """The answer to `batch`: (line number from 1, receipt or refusal, id if the line had one). Lines may be missing."""
    rows = []
    for data in response.body.splitlines():
        row = _object(Response(response.status, response.headers, data))
        problem = row.get("problem")
        outcome = _receipt(row) if problem is None else errors.from_problem(int(problem.get("status", 422)), problem)
        rows.append((row["line"], outcome, str(row.get("id") or "")))
    return rows


def read_erased(response: Response) -> int:
    """The answer to `erase`."""
    return int(_object(response)["deleted"])


def read_erasure_receipt(response: Response) -> dict[str, Any]:
    """The answer to `erasure_receipt`, as it was signed."""
    return _object(response)


def read_status(response: Response) -> Status:
    """The answer to `status`."""
    return _status(_object(response))


def read_statuses(response: Response) -> list[Status]:
    """The answer to `statuses`."""
    return [_status(row) for row in _object(response)["documents"]]


def read_search(response: Response) -> SearchResult:
    """The answer to `search` and `similar`."""
    body = _object(response)
    facets = {
        row["field"]: tuple((each["value"], each["count"]) for each in row["values"]) for row in body.get("facets", [])
    }
    return SearchResult(
        hits=tuple(map(_hit, body["hits"])),
        took_ms=float(body["took_ms"]),
        partial=bool(body.get("partial", False)),
        by_words=bool(body.get("by_words", False)),
        facets=facets,
        cursor=body.get("cursor"),
        unfinished=tuple(body.get("unfinished", ())),
    )


def read_miss(response: Response) -> Miss:
    """The answer to `explain_miss`."""
    return reading.miss(_object(response))


def read_content(response: Response) -> tuple[Content, int | None]:
    """The answer to `content`."""
    return reading.content(_object(response))


def read_sources(response: Response) -> list[Source]:
    """The answer to `sources`."""
    return [Source(row["source"], row["documents"]) for row in _object(response)["sources"]]


def refusal(response: Response) -> errors.Refused:
    """The error in an answer of 400 or above."""
    try:
        problem = _object(response)
    except errors.SpanstreamError:
        problem = {}
    after = response.headers.get("retry-after", "")
    return errors.from_problem(response.status, problem, float(after) if after.isdigit() else None)


def refused(source: str, id: str, error: errors.Refused, place: str = "") -> Failure:
    """A document that the server would not take; one that stands at a place is named by it, where it has no id."""
    lines = [(field.removeprefix("line").lstrip("."), wrong) for field, wrong in error.fields if field[:4] == "line"]
    detail = "; ".join(f"{field} {wrong}".lstrip() for field, wrong in lines) or str(error)
    if place and id:
        detail = f"{place}: {detail}"
    return Failure(source, id or place, "accept", type(error).__name__, detail)


def _documents(source: str) -> str:
    return f"/v1/sources/{_part(source)}/documents"


def _document(source: str, id: str) -> str:
    return f"{_documents(source)}/{_part(id)}"


def _part(name: str) -> str:
    """A source or an id as one part of a path; raises Invalid for what a URL cannot carry there."""
    if name in ("", ".", ".."):
        raise errors.Invalid(422, "the name of a source and the id of a document must not be empty, '.' or '..'")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:  # a file's name may be any bytes
        raise errors.Invalid(422, "the name of a source and the id of a document must be Unicode") from error


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _encode(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _body(document: Document) -> dict[str, Any]:
    body = {"text": document.text, "title": document.title, "content_type": document.content_type}
    given = _given(version=document.version, groups=list(document.groups) or None, expires_at=document.expires_at)
    return body | {"metadata": dict(document.metadata)} | given


def _object(response: Response) -> dict[str, Any]:
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise errors.ServerFailed(response.status, "the answer is not a JSON object: is this a Spanstream server?")
    return value


def _receipt(row: Mapping[str, Any]) -> Receipt:
    return Receipt(row["source"], row["id"], row["version"], row.get("status") == "unchanged")


def _status(row: Mapping[str, Any]) -> Status:
    failure = row.get("failure") or {}
    texts = {name: str(failure.get(name, "")) for name in ("stage", "reason", "detail")}
    return Status(row["source"], row["id"], row["state"], row["version"], **texts)


def _hit(row: Mapping[str, Any]) -> Hit:
    return Hit(
        source=row["source"],
        id=row["id"],
        version=row["version"],
        title=row["title"],
        metadata=row["metadata"],
        score=row["score"],
        passages=tuple(map(_passage, row["passages"])),
        explanation=reading.explanation(row.get("explanation")),
    )


def _passage(row: Mapping[str, Any]) -> Passage:
    return Passage(
        ordinal=row["ordinal"],
        start=row["start"],
        end=row["end"],
        text=row["text"],
        score=row["score"],
        spans=tuple(Span(span["start"], span["end"], span["text"], span["score"]) for span in row["spans"]),
        snippet=reading.snippet(row.get("snippet")),
    )
