"""Everything a careless or broken sender may send: refused with a problem or failed with a reason, never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from spanstream.client import config
from tests.fixtures.product import Product
from tests.unit.ingestor import files

SOURCE = "bad-input"
DOCUMENTS = f"/v1/sources/{SOURCE}/documents"
FILES = f"/v1/sources/{SOURCE}/files"
SETTLE_SECONDS = 60
FIVE_MEGABYTES = "The tide comes in twice a day. " * (5 * 2**20 // 31)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 8


@pytest.fixture(scope="module")
def http(product: Product) -> Iterator[httpx.Client]:
    saved = config.read(product.folder)
    with httpx.Client(
        base_url=saved["url"], headers={"authorization": f"Bearer {saved['api_key']}"}, timeout=90
    ) as client:
        yield client


@dataclass(frozen=True)
class Refused:
    """A request that the server must not take, and the statuses it may answer."""

    name: str
    method: str
    path: str
    status: int
    body: object = None
    content: Callable[[], bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _search(**fields: object) -> dict[str, object]:
    return {"query": "tide"} | fields


REFUSED = [
    Refused("malformed JSON", "PUT", f"{DOCUMENTS}/a", 400, content=lambda: b'{"text": "Bees'),
    Refused("JSON that is no object", "PUT", f"{DOCUMENTS}/a", 422, ["Bees."]),
    Refused("over-long id", "PUT", f"{DOCUMENTS}/{'x' * 513}", 422, {"text": "Bees."}),
    Refused("missing id of a file", "POST", FILES, 422, content=lambda: b"Bees."),
    Refused("unknown field", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees.", "colour": "red"}),
    Refused("version a string", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees.", "version": "1"}),
    Refused("version a fraction", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees.", "version": 1.5}),
    Refused("version negative", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees.", "version": -1}),
    Refused("version above 2^53-1", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees.", "version": 2**53}),
    Refused("version above 2^53-1 of a file", "POST", f"{FILES}?id=a.txt&version={2**53}", 422, content=lambda: b"B."),
    Refused("version above 2^53-1 of a delete", "DELETE", f"{DOCUMENTS}/a?version={2**53}", 422),
    Refused("empty text", "PUT", f"{DOCUMENTS}/a", 422, {"text": ""}),
    Refused("blank text", "PUT", f"{DOCUMENTS}/a", 422, {"text": " \n\t "}),
    Refused("empty file", "POST", f"{FILES}?id=a.txt", 422, content=lambda: b""),
    Refused("5 MB text", "PUT", f"{DOCUMENTS}/a", 413, content=lambda: json.dumps({"text": FIVE_MEGABYTES}).encode()),
    Refused("binary as JSON", "PUT", f"{DOCUMENTS}/a", 422, content=lambda: PNG),
    Refused("NUL in a text", "PUT", f"{DOCUMENTS}/a", 422, {"text": "Bees\0dance."}),
    Refused("invalid UTF-8", "PUT", f"{DOCUMENTS}/a", 422, content=lambda: b'{"text": "Bees \xff\xfe dance."}'),
    Refused("lone surrogate", "PUT", f"{DOCUMENTS}/a", 422, content=lambda: b'{"text": "Bees \\ud800 dance."}'),
    Refused("unknown content type", "PUT", f"{DOCUMENTS}/a", 415, {"text": "Bees.", "content_type": "image/png"}),
    Refused(
        "unknown content type of a file", "POST", f"{FILES}?id=a", 415, None, lambda: PNG, {"content-type": "image/png"}
    ),
    Refused("unknown name of a file", "POST", f"{FILES}?id=a.xyz", 415, content=lambda: PNG),
    Refused("source that is no name", "PUT", "/v1/sources/Not%20A%20Name/documents/a", 422, {"text": "Bees."}),
    Refused(
        "unknown source in a filter", "POST", "/v1/search", 422, _search(filter={"field": "source", "eq": "nowhere"})
    ),
    Refused(
        "filter on a reserved field", "POST", "/v1/search", 422, _search(filter={"field": "tenant", "eq": "other"})
    ),
    Refused("limit 0", "POST", "/v1/search", 422, _search(limit=0)),
    Refused("limit negative", "POST", "/v1/search", 422, _search(limit=-1)),
    Refused("limit huge", "POST", "/v1/search", 422, _search(limit=10**9)),
    Refused("query of 100,000 characters", "POST", "/v1/search", 422, {"query": "tide " * 20_000}),
    Refused("query empty", "POST", "/v1/search", 422, {"query": ""}),
    Refused("query missing", "POST", "/v1/search", 422, {}),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_it_is_refused_with_a_problem(http: httpx.Client, case: Refused) -> None:
    if case.content is not None:
        answer = http.request(case.method, case.path, content=case.content(), headers=case.headers)
    else:
        answer = http.request(case.method, case.path, json=case.body)
    assert (answer.status_code, answer.headers["content-type"]) == (case.status, "application/problem+json")
    problem = answer.json()
    assert problem["status"] == case.status
    assert problem["type"].startswith("urn:spanstream:problem:")
    assert problem["detail"]
    assert problem["request_id"]


@dataclass(frozen=True)
class Failing:
    """A file that is taken, because only reading it shows what it is, and the reason with which it must fail."""

    id: str
    reason: str
    content: Callable[[], bytes]


FAILING = [
    Failing("blank.txt", "EMPTY_TEXT", lambda: b" \n\t \n"),
    Failing("five-megabytes.txt", "PARSE_LIMIT", FIVE_MEGABYTES.encode),
    Failing("long-word.txt", "PARSE_LIMIT", lambda: b"x" * 1_000_000),
    Failing("binary.txt", "TYPE_UNSUPPORTED", lambda: PNG),
    Failing("archive.txt", "TYPE_UNSUPPORTED", lambda: files.archive(a=b"Bees.")),
    Failing("invalid-utf-8.txt", "PARSE_FAILED", lambda: b"\xef\xbb\xbfBees \xff\xfe\xff dance."),
    Failing("corrupt.pdf", "PARSE_FAILED", lambda: b"%PDF-1.7\nthis is no PDF"),
    Failing("cut-off.pdf", "PARSE_FAILED", lambda: files.pdf("Bees dance.")[:200]),
    Failing("no.pdf", "TYPE_UNSUPPORTED", lambda: b"Bees dance."),
    Failing("locked.pdf", "ENCRYPTED", lambda: files.pdf("Bees dance.", password="secret")),
    Failing("bomb.docx", "PARSE_LIMIT", lambda: files.bomb(300 * 2**20)),
    Failing("damaged.docx", "PARSE_FAILED", lambda: files.word()[:-300]),
    Failing("locked.docx", "ENCRYPTED", files.encrypted_office),
    Failing("malformed.json", "PARSE_FAILED", lambda: b'{"text": "Bees'),
]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.id)
def test_it_is_taken_and_then_fails_with_a_reason(http: httpx.Client, case: Failing) -> None:
    answer = http.post(FILES, params={"id": case.id}, content=case.content())
    assert answer.status_code == 202, answer.text
    params = {"version": answer.json()["version"], "wait": SETTLE_SECONDS}
    status = http.get(f"{DOCUMENTS}/{case.id}", params=params).json()
    assert status["state"] == "failed"
    assert (status["failure"]["stage"], status["failure"]["reason"]) == ("ingestor", case.reason)
    assert status["failure"]["detail"]


def test_bad_lines_of_a_batch_are_reported_and_the_rest_is_searchable(http: httpx.Client) -> None:
    lines: list[tuple[bytes, int | None]] = [
        (b'{"id": "first", "text": "Cobalt colours glass blue."}', None),
        (b'{"id": "cut", "text": ', 400),
        (b"[1, 2]", 422),
        (b'{"text": "No id."}', 422),
        (b'{"id": "%s", "text": "Bees."}' % (b"x" * 513), 422),
        (b'{"id": "v", "text": "Bees.", "version": "new"}', 422),
        (b'{"id": "v", "text": "Bees.", "version": 9007199254740992}', 422),
        (b'{"id": "e", "text": ""}', 422),
        (b'{"id": "u", "text": "Bees \xff\xfe"}', 422),
        (b'{"id": "t", "text": "Bees.", "content_type": "image/png"}', 415),
        (b'{"id": "last", "text": "Manganese colours glass violet."}', None),
    ]
    answer = http.post(f"{DOCUMENTS}:batch", content=b"\n".join(line for line, _ in lines))
    assert answer.status_code == 200
    rows = [json.loads(row) for row in answer.text.splitlines()]
    assert [row["line"] for row in rows] == list(range(1, len(lines) + 1))
    assert [row.get("problem", {}).get("status") for row in rows] == [status for _, status in lines]
    asked = [{"id": row["id"], "version": row["version"]} for row in rows if row["status"] == "accepted"]
    settled = http.post(f"{DOCUMENTS}:status", json={"documents": asked, "wait": SETTLE_SECONDS}).json()
    assert [each["state"] for each in settled["documents"]] == ["searchable"] * 2
    for word, id in (("cobalt", "first"), ("manganese", "last")):
        narrowed = {"field": "source", "eq": SOURCE}
        found = http.post("/v1/search", json={"query": word, "mode": "lexical", "filter": narrowed}).json()
        assert [hit["id"] for hit in found["hits"]] == [id]


def test_after_all_of_it_good_documents_become_searchable(http: httpx.Client) -> None:
    """More documents than partitions, so that one that is stuck would show."""
    ids = [f"good-{number}" for number in range(64)]
    lines = b"\n".join(json.dumps({"id": id, "text": f"Quartz number {id} is hard."}).encode() for id in ids)
    rows = [json.loads(row) for row in http.post(f"{DOCUMENTS}:batch", content=lines).text.splitlines()]
    asked = [{"id": row["id"], "version": row["version"]} for row in rows]
    answer = http.post(f"{DOCUMENTS}:status", json={"documents": asked, "wait": SETTLE_SECONDS}).json()
    assert {each["state"] for each in answer["documents"]} == {"searchable"}
    assert len(answer["documents"]) == len(ids)
