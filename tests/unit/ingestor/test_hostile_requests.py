"""Requests made to harm: deep, wide, many at once, and broken off (reliability.md, rows A7, A12, A13, A16)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from tests.unit.ingestor.test_api import BATCH, DOCUMENT, FILES, Api, refused


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    with made.http:
        yield made


def nested(depth: int, opening: str, closing: str) -> bytes:
    return f'{{"text": "x", "metadata": {{"a": {opening * depth}1{closing * depth}}}}}'.encode()


@pytest.mark.parametrize(
    "content",
    [
        nested(10_000, "[", "]"),
        nested(10_000, '{"a":', "}"),
        b'{"text": "x", "metadata": {' + b",".join(b'"k%d": 1' % number for number in range(100_000)) + b"}}",
        b"{" + b",".join(b'"k%d": 1' % number for number in range(100_000)) + b"}",
        b'{"text": "x", "metadata": {"a": Infinity}}',
        b'{"text": "x", "metadata": {"a": -1e999}}',
        b'{"text": "x", "version": ' + b"9" * 10_000 + b"}",
    ],
    ids=["lists", "objects", "metadata", "fields", "infinity", "1e999", "digits"],
)
def test_json_that_is_deep_wide_or_no_number_is_refused_and_never_stored(api: Api, content: bytes) -> None:
    for answer in (api.http.put(DOCUMENT, content=content), api.http.post(BATCH, content=content + b"\n")):
        if answer.status_code == 200:
            (row,) = [json.loads(line) for line in answer.text.splitlines()]
            assert row["problem"]["status"] in (400, 413, 422)
        else:
            assert refused(answer, answer.status_code)["status"] in (400, 413, 422)
    assert api.events() == []


def test_a_form_of_very_many_parts_is_refused(api: Api) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused(api.http.post(FILES, content=part * 100_000 + b"--b--\r\n", headers=headers), 413)
    assert api.events() == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("charset", ["undefined", "punycode", "PunyCode", '"a\tb"', "no-such"])
def test_a_form_in_a_charset_that_fails_or_takes_minutes_is_refused(api: Api, charset: str) -> None:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n' + b"a" * 2**20 + b"\r\n",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nBees.\r\n--b--\r\n',
    ]
    headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    refused(api.http.post(FILES, content=b"".join(parts), headers=headers), 400)
    utf8 = {"content-type": "multipart/form-data; boundary=b; charset=UTF-8"}
    assert api.http.post(FILES, content=parts[1], headers=utf8).status_code == 202


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "/etc/passwd.txt", "..\\a.txt", "a/../b.txt"])
def test_the_name_of_a_file_is_an_id_and_never_a_path(api: Api, name: str, tmp_path: Path) -> None:
    answer = api.http.post(FILES, files={"file": (name, b"Bees.", "text/plain")})
    assert answer.status_code == 202
    (event,) = api.events()
    assert event.id == answer.json()["id"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".spanstream"]
    assert written
    assert all("passwd" not in path.name and path.read_bytes() == b"Bees." for path in written)


def test_the_same_document_a_hundred_times_at_once_is_one_version_of_one_content(api: Api) -> None:
    """The index takes a record that it has already seen for what it is: equal versions with equal content are no-ops."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.put({"text": "Bees.", "version": 7}), range(100)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len({(event.id, event.version, event.content_hash) for event in api.events()}) == 1


@pytest.mark.parametrize(
    ("method", "path", "kind"), [("PUT", DOCUMENT, b"application/json"), ("POST", f"{FILES}?id=a.txt", b"text/plain")]
)
def test_what_breaks_off_before_its_end_is_not_accepted(api: Api, method: str, path: str, kind: bytes) -> None:
    messages = iter([{"type": "http.request", "body": b'{"text": "Be', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    target, _, query = path.partition("?")
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "headers": [(b"content-type", kind)],
        "state": {},
    }
    asyncio.run(api.app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert api.events() == []
