from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message

from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import ALL
from spanstream.events.v1.document_pb2 import DocumentEvent
from spanstream.ingestor.acceptance import Acceptance
from spanstream.ingestor.api import router
from spanstream.ingestor.backlog import Backlog
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.parsing.formats import parse
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.versions import Versions
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.key_file import create_key
from tests.unit.ingestor import files

DOCUMENT = "/v1/sources/s/documents/a"
BATCH = "/v1/sources/s/documents:batch"
FILES = "/v1/sources/s/files"


class Api:
    """The routes on a memory log."""

    def __init__(
        self, folder: Path, *, keys: Path | None = None, gateway: httpx.AsyncClient | None = None, **limits: int
    ) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(ALL)
        settings = IngestorSettings(
            log_url="memory:",
            blob_url=f"file:{folder}",
            **{"max_text_bytes": 4 * 2**20, "max_file_bytes": 2**20} | limits,
        )
        self.blobs = Blobs(settings.blob_url)
        self.acceptance = Acceptance(
            self.log.producer(),
            self.blobs,
            None,
            InFlight(self.log),
            Versions(),
            inline_text_bytes=settings.inline_text_bytes,
        )
        app = FastAPI()
        problems.install(app)
        authenticator = Authenticator.from_file(str(keys) if keys else None)
        app.include_router(router(self.acceptance, authenticator, settings, gateway))
        self.app = app
        self.http = TestClient(app, raise_server_exceptions=False)

    def events(self) -> list[DocumentEvent]:
        records = [record for partition in self.log.topics["documents.v1"] for record in partition]
        return [DocumentEvent.FromString(record.value or b"") for record in records]

    def put(self, body: Any = None, **kwargs: Any) -> Any:
        return self.http.put(DOCUMENT, json=body, **kwargs)

    def batch(self, *lines: Any) -> list[dict[str, Any]]:
        encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        response = self.http.post(BATCH, content=b"\n".join(encoded))
        assert response.status_code == 200
        return [json.loads(line) for line in response.text.splitlines()]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    with made.http:
        yield made


def refused(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    return problem


def test_put_answers_202_with_a_receipt(api: Api) -> None:
    response = api.put({"text": "Bees.", "title": "T", "metadata": {"a": [1, 2.5]}, "groups": ["g"], "version": 7})
    assert response.status_code == 202
    assert response.json() == {"source": "s", "id": "a", "version": 7, "status": "accepted"}
    (event,) = api.events()
    assert (event.tenant, event.source, event.id, event.text) == ("default", "s", "a", "Bees.")


def test_without_a_version_the_time_of_acceptance_orders(api: Api) -> None:
    first, second = (api.put({"text": "Bees."}).json()["version"] for _ in range(2))
    assert 1.7e15 < first < second < 2**53


def test_ids_may_hold_any_character_once_encoded(api: Api) -> None:
    response = api.http.put("/v1/sources/s/documents/a%2Fb%20%C3%BC%3F", json={"text": "x"})
    assert response.json()["id"] == "a/b ü?"


def test_delete(api: Api) -> None:
    assert api.http.delete(DOCUMENT, params={"version": 9}).json()["version"] == 9
    (event,) = api.events()
    assert (event.operation, event.version, len(event.content_hash)) == (2, 9, 32)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"text": ""},
        {"text": " \n"},
        {"text": None},
        {"text": 1},
        {"text": "a\0"},
        {"text": "x", "title": "\0"},
        {"text": "x", "title": "t" * 2001},
        {"text": "x", "unknown": 1},
        {"text": "x", "version": "1"},
        {"text": "x", "version": 1.0},
        {"text": "x", "version": 1.5},
        {"text": "x", "version": True},
        {"text": "x", "version": -1},
        {"text": "x", "version": 2**53},
        {"text": "x", "metadata": []},
        {"text": "x", "metadata": {"a": "\0"}},
        {"text": "x", "metadata": {"a": 2**60}},
        {"text": "x", "metadata": {str(i): i for i in range(1001)}},
        {"text": "x", "groups": "g"},
        {"text": "x", "groups": [""]},
        {"text": "x", "groups": ["g"] * 101},
    ],
)
def test_bodies_that_do_not_fit_the_schema_are_422(api: Api, body: Any) -> None:
    refused(api.put(body), 422)
    assert api.events() == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"text": "x"} y', 400),
        (b'{"text": NaN}', 400),
        (b'{"text": "x", "metadata": {"a": 1e400}}', 400),
        ('{"text": "x"}'.encode("utf-16"), 400),
        (b'{"text": "\xff"}', 422),
        (b'{"text": "\\ud800"}', 422),
        (b'{"text": "x", "metadata": {"a": "\\udfff"}}', 422),
        (b'{"text": "x", "metadata": ' + b'{"a":' * 500 + b"1" + b"}" * 501, 422),
        (b'{"text": "x", "metadata": ' + b"[" * 10_000, 400),
    ],
)
def test_malformed_bodies(api: Api, content: bytes, status: int) -> None:
    refused(api.http.put(DOCUMENT, content=content), status)


def test_problems_name_fields_and_never_values(api: Api) -> None:
    problem = refused(api.put({"text": "secret\0", "version": "secret"}), 422)
    assert {error["field"] for error in problem["errors"]} == {"body.text", "body.version"}
    assert "secret" not in json.dumps(problem)


def test_5_mb_of_text_are_too_large(api: Api) -> None:
    refused(api.put({"text": "x" * 5_000_000}), 413)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused_while_it_streams(api: Api, declared: bool) -> None:
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(40):
            taken += 2**20
            yield b" " * 2**20

    headers = {"content-length": str(40 * 2**20)} if declared else {}
    refused(api.http.put(DOCUMENT, content=body(), headers=headers), 413)


def test_a_text_over_512_kib_travels_as_a_blob(api: Api) -> None:
    assert api.put({"text": "x " * 300_000}).status_code == 202
    (event,) = api.events()
    assert api.blobs.get(event.blob, 10**6) == b"x " * 300_000


@pytest.mark.parametrize("content_type", ["application/pdf", "image/png", "text/x-python", "nonsense", ""])
def test_unknown_content_types_are_415(api: Api, content_type: str) -> None:
    refused(api.put({"text": "x", "content_type": content_type}), 415)


def test_other_encodings_of_the_request_are_415(api: Api) -> None:
    problem = refused(api.http.put(DOCUMENT, content=b"x", headers={"content-type": "application/pdf"}), 415)
    assert problem["detail"].endswith(f"a file goes to POST {FILES}")
    refused(api.http.put(DOCUMENT, content=b"{}", headers={"content-encoding": "gzip"}), 415)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sources/S/documents/a",
        f"/v1/sources/{'s' * 65}/documents/a",
        "/v1/sources/*/documents/a",
        "/v1/sources/s/documents/",
        "/v1/sources/s/documents/a%00",
        "/v1/sources/s/documents/a%07b",
        f"/v1/sources/s/documents/{'a' * 513}",
    ],
)
def test_bad_keys_are_422(api: Api, path: str) -> None:
    refused(api.http.put(path, json={"text": "x"}), 422)
    refused(api.http.delete(path), 422)


@pytest.mark.parametrize(
    "version", ["-1", "x", "9007199254740992", "1.5", "1.0", "+1", "1_0", " 1", "", "٣", "9" * 5000]
)
def test_bad_versions_of_a_delete_are_422(api: Api, version: str) -> None:
    problem = refused(api.http.delete(DOCUMENT, params={"version": version}), 422)
    assert [error["field"] for error in problem["errors"]] == ["query.version"]


def test_a_delete_passes_a_full_backlog_but_not_without_a_bound(api: Api) -> None:
    api.acceptance.backlog = Backlog(1e9, most_open=1)
    outcomes = [api.put({"text": "Bees."}), api.put({"text": "Bees."}), *(api.http.delete(DOCUMENT) for _ in range(2))]
    assert [outcome.status_code for outcome in outcomes] == [202, 429, 202, 429]


def test_a_compressed_batch_is_415_before_the_answer_begins(api: Api) -> None:
    refused(api.http.post(BATCH, content=b"{}", headers={"content-encoding": "gzip"}), 415)


def test_a_batch_whose_client_goes_ends_quietly(api: Api) -> None:
    begun = {"type": "http.request", "body": b'{"id": "a", "text": "x"}\n{"id":', "more_body": True}
    messages = iter([begun, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "root_path": "", "headers": []}
    asyncio.run(api.app(scope | {"path": BATCH, "raw_path": BATCH.encode(), "query_string": b""}, receive, send))


class Arriving:
    """A request whose body comes as it is told to."""

    def __init__(self, api: Api, method: str, path: str) -> None:
        self.body: asyncio.Queue[Message] = asyncio.Queue()
        self.answer: list[Message] = []
        scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": ""}
        at = {"path": path, "raw_path": path.encode(), "query_string": b"filename=a.txt" if path == FILES else b""}
        self.done = asyncio.ensure_future(api.app({**scope, **at, "headers": []}, self.body.get, self._send))

    async def _send(self, message: Message) -> None:
        self.answer.append(message)

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Deliver a chunk, and let it be read."""
        self.body.put_nowait({"type": "http.request", "body": data, "more_body": more})
        while more and not self.body.empty():
            await asyncio.sleep(0)
        if not more:
            await self.done

    async def answered(self, messages: int) -> None:
        """Wait for so much of the answer: its head is the first message."""
        while len(self.answer) < messages:
            assert not self.done.done(), self.answer
            await asyncio.sleep(0.001)

    @property
    def status(self) -> int:
        return int(self.answer[0]["status"])


@pytest.mark.parametrize(("method", "path"), [("PUT", DOCUMENT), ("POST", FILES)])
def test_beyond_the_bytes_a_tenant_may_hold_at_once_a_request_is_429_and_later_ones_pass(
    tmp_path: Path, method: str, path: str
) -> None:
    room = 8 * 2**20 + 2 * (2000 + 2**20)  # of all tenants twice as much
    api = Api(tmp_path, max_text_bytes=1000, max_file_bytes=2**20, max_held_body_bytes=2 * room)
    share = 2**20 - 1000

    async def crowd() -> None:
        others = [Arriving(api, "PUT", DOCUMENT) for _ in range(room // 2 // share)]
        for other in others:
            await other.send(b" " * share)
        late = Arriving(api, method, path)
        await late.send(b" " * share, more=False)
        assert late.status == 429
        assert (b"retry-after", b"1") in late.answer[0]["headers"]
        batch = Arriving(api, "POST", BATCH)
        await batch.send(b"", more=False)
        assert batch.status == 429  # said before the answer begins
        for other in others:
            await other.send(b'{"text": "Bees."}', more=False)
            assert other.status == 202
        for _ in range(3):  # a batch may need all the room here
            batch = Arriving(api, "POST", BATCH)
            await batch.send(b'{"id": "a", "text": "Bees."}', more=False)
            assert batch.status == 200

    asyncio.run(crowd())


def test_batches_hold_what_was_sent_and_not_answered_yet(tmp_path: Path) -> None:
    room = 8 * 2**20 + 2 * (2000 + 2**20)  # of all tenants twice as much
    api = Api(tmp_path, max_text_bytes=1000, max_file_bytes=2**20, max_held_body_bytes=2 * room)
    half = 2**19

    async def crowd() -> None:
        batches = [Arriving(api, "POST", BATCH) for _ in range(30)]
        for batch in batches:
            await batch.answered(1)
        for batch in batches:
            for messages in (2, 3):
                await batch.send(b'{"id": "a", "text": "Bees."}' + b" " * half)
                await batch.send(b"\n")
                await batch.answered(messages)
        put = Arriving(api, "PUT", DOCUMENT)
        await put.send(b'{"text": "Bees."}', more=False)
        assert put.status == 202

        others = [Arriving(api, "PUT", DOCUMENT) for _ in range(room // 2 // half)]
        for other in others:
            await other.send(b" " * half)
        await batches[0].send(b'{"id": "late", "text": "Bees."}' + b" " * half)
        for other in others:
            await other.send(b'{"text": "Bees."}', more=False)
            assert other.status == 202
        await batches[0].send(b"", more=False)  # it waited for room
        assert b'"id":"late"' in batches[0].answer[3]["body"]
        for batch in batches[1:]:
            await batch.send(b"", more=False)

        whole = Arriving(api, "POST", BATCH)
        await whole.send(b"", more=False)
        assert whole.status == 200  # nothing is held any more

    asyncio.run(crowd())


def test_a_batch_answers_line_by_line_in_order(api: Api) -> None:
    rows = api.batch(
        {"_id": "1", "text": "One.", "title": None, "year": 1927, "metadata": {"b": 1}},
        {"id": "2", "text": "Two.", "version": 5},
    )
    assert [(row["line"], row["id"], row["status"], row["source"]) for row in rows] == [
        (1, "1", "accepted", "s"),
        (2, "2", "accepted", "s"),
    ]
    assert rows[1]["version"] == 5
    metadata = {event.id: dict(event.metadata.fields) for event in api.events()}
    assert {name: value.number_value for name, value in metadata["1"].items()} == {"b": 1, "year": 1927}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b'{"id": "2", "text": ', 400),
        (b"[1]", 422),
        (b'"text"', 422),
        ({"text": "x"}, 422),
        ({"id": "", "text": "x"}, 422),
        ({"id": "i" * 513, "text": "x"}, 422),
        ({"id": 2, "text": "x"}, 422),
        ({"id": "a\n", "text": "x"}, 422),
        ({"id": "2", "_id": "3", "text": "x"}, 422),
        ({"id": "2"}, 422),
        ({"id": "2", "text": ""}, 422),
        ({"id": "2", "text": "x", "version": 2**53}, 422),
        ({"id": "2", "text": "x", "version": 1.5}, 422),
        ({"id": "2", "text": "x", "year": 1, "metadata": {"year": 2}}, 422),
        ({"id": "2", "text": "x", "content_type": "image/png"}, 415),
        ({"id": "2", "text": "x" * 5_000_000}, 413),
        (b'{"id": "2", "text": "' + b"x" * 10_000_000 + b'"}', 413),
        (b'{"id": "2", "text": "\xff"}', 422),
        (b'{"id": "2", "text": "\\ud800"}', 422),
    ],
)
def test_a_bad_line_is_reported_and_the_rest_accepted(api: Api, line: Any, status: int) -> None:
    before, row, after = api.batch({"id": "1", "text": "x"}, line, {"id": "3", "text": "x"})
    assert (row["line"], row["status"], row["problem"]["status"]) == (2, "error", status)
    assert before["status"] == after["status"] == "accepted"
    assert [event.id for event in sorted(api.events(), key=lambda event: event.id)] == ["1", "3"]


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ({"text": "x"}, "line.id", "is missing"),
        ({"id": "2", "text": ""}, "line.text", "is empty"),
        ({"id": 2, "text": "x"}, "line.id", "should be a valid string"),
        ({"_id": 2, "text": "x"}, "line._id", "should be a valid string"),
        (
            {"id": "..", "text": "x"},
            "line",
            "id must not be '.' or '..', which no URL can carry, not even percent-encoded",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_words(api: Api, line: Any, field: str, words: str) -> None:
    (row,) = api.batch(line)
    assert row["problem"]["errors"] == [{"field": field, "detail": words}]


def test_place_in_a_line_is_its_column(api: Api) -> None:
    (row,) = api.batch(b'{"id": ')
    assert row["problem"]["detail"].startswith("not valid JSON, at column ")


def test_blank_lines_count_but_have_no_result(api: Api) -> None:
    assert [row["line"] for row in api.batch(b"", {"id": "1", "text": "x"}, b"  ", {"id": "2", "text": "x"})] == [2, 4]


def test_a_byte_order_mark_is_no_part_of_the_first_line_alone(api: Api) -> None:
    mark, line = b"\xef\xbb\xbf", b'{"id": "1", "text": "x"}'
    assert [row["status"] for row in api.batch(mark + line, line)] == ["accepted", "accepted"]
    assert [row["line"] for row in api.batch(mark, line)] == [2]
    (row,) = api.batch(b"", mark + line)
    assert row["problem"]["detail"] == "send JSON as UTF-8 without a byte order mark"


def test_lines_may_be_cut_anywhere_on_their_way(api: Api) -> None:
    content = b"".join(json.dumps({"id": str(i), "text": "x"}).encode() + b"\n" for i in range(500))
    pieces = (content[i : i + 7] for i in range(0, len(content), 7))
    rows = [json.loads(line) for line in api.http.post(BATCH, content=pieces).text.splitlines()]
    assert [row["id"] for row in rows] == [str(i) for i in range(500)]


def test_a_batch_that_the_log_does_not_take_ends_early(api: Api) -> None:
    api.log.topics.clear()
    rows = api.batch(*({"id": str(i), "text": "x"} for i in range(450)))
    assert len(rows) == 200
    assert {row["problem"]["status"] for row in rows} == {503}


def test_a_document_that_the_log_does_not_take_is_503(api: Api) -> None:
    api.log.topics.clear()
    response = api.put({"text": "x"})
    refused(response, 503)
    assert response.headers["retry-after"] == "5"


def test_a_file_as_the_body(api: Api) -> None:
    data = files.pdf("Bees.")
    fields: dict[str, str | int] = {
        "filename": "bees.pdf",
        "title": "T",
        "version": 3,
        "metadata": '{"a": 1}',
        "groups": "x, y",
    }
    response = api.http.post(FILES, params=fields, content=data)
    assert response.json() == {"source": "s", "id": "bees.pdf", "version": 3, "status": "accepted"}
    (event,) = api.events()
    assert api.blobs.get(event.blob, 10**6) == data
    assert (event.title, event.content_type, list(event.groups)) == ("T", "application/pdf", ["x", "y"])


def test_a_file_in_a_form(api: Api) -> None:
    form = {"file": ("../bees.md", b"# Bees", "text/markdown")}
    response = api.http.post(FILES, files=form, data={"id": "bees", "title": "T"})
    assert response.json()["id"] == "bees"
    (event,) = api.events()
    assert (event.content_type, event.title) == ("text/markdown", "T")
    assert ".." not in event.blob


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        ("iso-8859-1", "latin-1", "Voilà un texte français."),
        ("Latin_1", "latin-1", "Voilà un texte français."),
        ('"windows-1252"', "cp1252", "Voilà « un texte » – français…"),
        ("iso-2022-jp", "iso2022_jp", "蜂は踊る。"),
        ("utf-16", "utf-16", "Bees."),
        ("utf-16le", "utf-16-le", "Bees."),
        ("iso-8859-1", "utf-8-sig", "Voilà."),  # the mark is a part of the text, and says more
        ("euc-jp", "utf-8", "Größe"),  # does not fit
        ("punycode", "utf-8", "Bees-."),
        ("utf-8", "utf-8", "Voilà."),
    ],
)
@pytest.mark.parametrize(("type", "kind"), [("text/plain", Kind.TEXT), ("text/html", Kind.HTML)])
def test_a_text_is_in_the_charset_that_its_sender_declares(
    api: Api, charset: str, encoding: str, text: str, type: str, kind: Kind
) -> None:
    """Latin-1 was guessed to be something else where the text was short, and ISO-2022-JP was taken for ASCII."""
    content_type, data = f"{type}; charset={charset}", text.encode(encoding)
    api.http.post(FILES, params={"id": "a"}, content=data, headers={"content-type": content_type})
    api.http.post(FILES, params={"id": "b"}, files={"file": ("b", data, content_type)})
    events = api.events()
    assert {(event.id, event.content_type) for event in events} == {("a", type), ("b", type)}
    assert {parse(kind, api.blobs.get(event.blob, 1000), Limits()).text for event in events} == {text}


def test_a_text_that_is_too_large_in_utf8_is_413(api: Api) -> None:
    headers = {"content-type": "text/plain; charset=latin-1"}
    refused(api.http.post(FILES, params={"id": "a"}, content="é".encode("latin-1") * 2**20, headers=headers), 413)


@pytest.mark.parametrize(
    ("params", "content_type", "status"),
    [
        ({}, "text/plain", 422),
        ({"filename": "a.exe"}, "", 415),
        ({"filename": "a.txt"}, "image/png", 415),
        ({"filename": "a.jsonl"}, "", 415),
        ({"id": "a"}, "", 415),
        ({"id": "a\n.txt"}, "", 422),
        ({"id": "a.txt", "unknown": "1"}, "", 422),
        ({"id": "a.txt", "version": "1.5"}, "", 422),
        ({"id": "a.txt", "version": "9007199254740992"}, "", 422),
        ({"id": "a.txt", "metadata": "{"}, "", 422),
        ({"id": "a.txt", "metadata": "[]"}, "", 422),
    ],
)
def test_bad_uploads(api: Api, params: dict[str, str], content_type: str, status: int) -> None:
    refused(api.http.post(FILES, params=params, content=b"x", headers={"content-type": content_type}), status)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("metadata", "[1]", ("query.metadata", "must be a JSON object")),
        ("metadata", "{", ("query.metadata", "must be a JSON object: not valid JSON, at column 2")),
        ("colour", "red", ("form.colour", "is no field of this request")),
        ("c" * 300, "red", ("form." + "c" * 195, "is no field of this request")),
    ],
)
def test_what_is_wrong_in_a_form_is_told_by_field(api: Api, field: str, value: str, expected: tuple[str, str]) -> None:
    sent = api.http.post(FILES, files={"file": ("a.txt", b"Bees.", "text/plain")}, data={field: value})
    assert refused(sent, 422)["errors"] == [{"field": expected[0], "detail": expected[1]}]


def test_empty_and_large_files(api: Api) -> None:
    refused(api.http.post(FILES, params={"id": "a.txt"}, content=b""), 422)
    refused(api.http.post(FILES, params={"id": "a.txt"}, content=b"x" * (2**20 + 1)), 413)
    refused(api.http.post(FILES, files={"file": ("a.txt", b"x" * (2**20 + 1), "text/plain")}), 413)


def test_bad_forms(api: Api) -> None:
    refused(api.http.post(FILES, files={"other": ("a.txt", b"x", "text/plain")}), 422)
    refused(api.http.post(FILES, files=[("file", ("a.txt", b"x", "text/plain"))] * 100), 413)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    refused(api.http.post(FILES, content=b"--y\r\n", headers=broken), 400)


def test_keys_decide_the_tenant_and_what_is_allowed(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    writer = create_key(keys, "w", "acme")
    reader = create_key(keys, "r", "acme", frozenset({"read"}))
    api = Api(tmp_path / "blobs", keys=keys)
    with api.http:
        refused(api.put({"text": "x"}), 401)
        refused(api.http.post(BATCH, content=b""), 401)
        refused(api.put({"text": "x"}, headers={"authorization": f"Bearer {reader}"}), 403)
        assert api.put({"text": "x"}, headers={"authorization": f"Bearer {writer}"}).status_code == 202
    assert [event.tenant for event in api.events()] == ["acme"]


def test_status_is_asked_of_the_gateway(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        seen = (request.url.raw_path, request.headers["authorization"])
        assert seen == (b"/v1/sources/s/documents/a%2Fb?version=3&wait=1", "Bearer x")
        return httpx.Response(200, json={"state": "searchable"})

    gateway = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(answer))
    api = Api(tmp_path, gateway=gateway)
    with api.http:
        path = "/v1/sources/s/documents/a%2Fb?version=3&wait=1"
        assert api.http.get(path, headers={"authorization": "Bearer x"}).json() == {"state": "searchable"}


def test_a_gateway_that_refuses_a_question_for_now_says_until_when(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(429, headers={"retry-after": "7"}))
    api = Api(tmp_path, gateway=httpx.AsyncClient(base_url="http://gateway", transport=transport))
    with api.http:
        answer = api.http.get(DOCUMENT)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_id_with_dots_between_slashes_reaches_the_gateway_whole(tmp_path: Path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={})

    gateway = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(answer))
    path = "/v1/sources/s/documents/a/../b"  # as no client library would send it
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(_message: object) -> None:
        pass

    asyncio.run(Api(tmp_path, gateway=gateway).http.app(scope, receive, send))  # type: ignore[arg-type]
    assert asked == [b"/v1/sources/s/documents/a%2F..%2Fb"]


def test_without_a_gateway_there_is_no_status(api: Api) -> None:
    assert api.http.get(DOCUMENT).status_code == 405


def test_the_published_description_states_bodies_and_limits(api: Api) -> None:
    paths = api.http.get("/openapi.json").json()["paths"]
    body = paths["/v1/sources/{source}/documents/{id}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert body["properties"]["title"]["maxLength"] == 2000
    assert "multipart/form-data" in paths["/v1/sources/{source}/files"]["post"]["requestBody"]["content"]


def test_description_names_the_key_and_the_problems_of_every_route(tmp_path: Path) -> None:
    described = Api(tmp_path, gateway=httpx.AsyncClient()).http.get("/openapi.json").json()
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) == 5
    for operation in operations:
        assert operation["security"] == [{"key": []}]
        for status in ("401", "403", "422", "503"):
            assert operation["responses"][status]["content"].keys() == {"application/problem+json"}
    put = described["paths"]["/v1/sources/{source}/documents/{id}"]["put"]["responses"]
    assert {"200", "202", "400", "413", "415"} <= put.keys()
