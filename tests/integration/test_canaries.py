"""Words that are in documents, queries and secrets alone, looked for in all that is said of what was done with them, and of what failed."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from spanstream.runtime import logs, tracing
from tests.fixtures.here import Here, running
from tests.unit.ingestor import files

CANARY = "xylographer"  # in documents
ASKED = "quincunxes"  # in queries
SECRET = "sps_local_" + "Zitherplayer" * 4  # a credential that is none
DOCUMENTS = "/v1/sources/wiki/documents"
FILES = "/v1/sources/wiki/files"
SETTLE_SECONDS = 60


class Said:
    """All that a process tells, wherever."""

    def __init__(self) -> None:
        self.log, self.spans = io.StringIO(), InMemorySpanExporter()
        self.errors: list[str] = []

    def everything(self, folder: Path) -> str:
        """Logs, spans with their events, metrics, the audit log, and the bodies and headers of errors."""
        audit = [path.read_text() for path in folder.rglob("audit.jsonl")]
        spans = [span.to_json() for span in self.spans.get_finished_spans()]
        return "\n".join([self.log.getvalue(), *spans, generate_latest().decode(), *audit, *self.errors])


@pytest.fixture
def said() -> Iterator[Said]:
    told, root = Said(), logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    logs.configure("debug", stream=told.log)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        tracing.configure("test")
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(told.spans))
    yield told
    told.spans.shutdown()
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


def failing(client: httpx.Client) -> Iterator[httpx.Response]:
    """Requests that end in an error, each with words that nobody may read elsewhere."""
    document = {"text": CANARY, "title": CANARY, "metadata": {"a": CANARY}}
    for body in (
        document | {"text": f"{CANARY}\0"},
        document | {"version": CANARY},
        document | {"colour": CANARY},
        document | {"content_type": CANARY},
        document | {"groups": [CANARY] * 200},
        [CANARY],
    ):
        yield client.put(f"{DOCUMENTS}/a", json=body)
    for raw in (f'{{"text": "{CANARY}'.encode(), f'{{"text": "{CANARY}\xff"}}'.encode("latin-1")):
        yield client.put(f"{DOCUMENTS}/a", content=raw)
    yield client.put(f"{DOCUMENTS}/a", content=f'{{"text": "{CANARY * 500_000}"}}'.encode())
    yield client.post(FILES, params={"id": "a.xyz", "title": CANARY}, content=CANARY.encode())
    yield client.post(FILES, params={"id": "a.txt", "metadata": CANARY}, content=CANARY.encode())
    for query in (
        {"query": ASKED, "limit": ASKED},
        {"query": ASKED, "filter": {"field": "metadata.a", "gte": ASKED}},
        {"query": ASKED, "cursor": ASKED},
        {"query": {"all": [ASKED, {"not": {"like": ASKED}}]}},
        {"query": ASKED * 1000},
        {"query": ASKED, "filter": {"field": "source", "eq": ASKED}},
    ):
        yield client.post("/v1/search", json=query)
    for credential in (SECRET, f"{SECRET}.{SECRET}.{SECRET}"):
        yield client.post("/v1/search", json={"query": ASKED}, headers={"authorization": f"Bearer {credential}"})


FAILING_FILES = {
    "cut.pdf": lambda: files.pdf(CANARY)[:200],
    "locked.pdf": lambda: files.pdf(CANARY, password=CANARY),
    "not.pdf": lambda: CANARY.encode(),
    "bad.docx": lambda: files.word(title=CANARY)[:-300],
    "bad.json": lambda: f'{{"text": "{CANARY}'.encode(),
    "bad.txt": lambda: b"\xef\xbb\xbf" + CANARY.encode() + b"\xff\xfe",
    "long.txt": lambda: (CANARY * 100_000).encode(),
}


@pytest.mark.promise("I29")
def test_no_word_of_a_document_a_query_or_a_secret_is_told_elsewhere(tmp_path: Path, said: Said) -> None:
    with running(tmp_path) as here:
        headers = {"authorization": f"Bearer {here.key}"}
        with httpx.Client(base_url=here.url, headers=headers, timeout=90) as client:
            done(client)
            said.errors += [told(answer) for answer in failing(client)]
            assert found(client), "the words are not even where they belong"
        everything = said.everything(tmp_path)
        assert len(said.log.getvalue().splitlines()) > 5
        assert len(said.spans.get_finished_spans()) > 20
    for word in (CANARY, ASKED, SECRET[-12:], secret_of(here)):
        lines = [line[:300] for line in everything.splitlines() if word.lower() in line.lower()]
        assert lines == [], word


def done(client: httpx.Client) -> None:
    """Documents that become searchable, and files that fail."""
    receipts = [client.put(f"{DOCUMENTS}/good", json={"text": f"The {CANARY} sings.", "title": CANARY})]
    receipts += [client.post(FILES, params={"id": id}, content=make()) for id, make in FAILING_FILES.items()]
    assert {answer.status_code for answer in receipts} == {202}
    asked = [{"id": answer.json()["id"], "version": answer.json()["version"]} for answer in receipts]
    settled = client.post(f"{DOCUMENTS}:status", json={"documents": asked, "wait": SETTLE_SECONDS}).json()["documents"]
    assert [each["state"] for each in settled] == ["searchable"] + ["failed"] * len(FAILING_FILES)
    assert CANARY not in json.dumps(settled)
    assert CANARY not in client.get("/v1/failures").text


def found(client: httpx.Client) -> bool:
    """The document, by a query that holds a word of its own."""
    answer = client.post("/v1/search", json={"query": f"{CANARY} {ASKED}", "explain": True})
    return answer.status_code == 200 and CANARY in answer.text


def told(answer: httpx.Response) -> str:
    """An error, as whoever asked may hand it on."""
    assert 400 <= answer.status_code < 500, answer.request.url
    return f"{answer.headers} {answer.text}"


def secret_of(here: Here) -> str:
    """Of the key in use."""
    return here.key.rpartition("_")[2]
