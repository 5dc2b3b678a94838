"""The client's behaviour, for both clients where it matters; a scripted server behind httpx."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from spanstream import client as sdk
from spanstream.client import ingestion
from tests.unit.client.server import Clock, Script, problem, receipt


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SPANSTREAM_URL", "SPANSTREAM_INGEST_URL", "SPANSTREAM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPANSTREAM_DATA", str(tmp_path))


class _Awaited:
    """An AsyncClient with the synchronous one's face, so that one test serves both."""

    def __init__(self, client: sdk.AsyncClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: asyncio.run(getattr(self._client, name)(*args, **options))


Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    def make(script: Script, clock: Clock | None = None, **options: Any) -> Any:
        clock = clock or Clock()
        if request.param == "sync":
            return sdk.Client(
                "http://test", transport_=httpx.MockTransport(script), clock=clock, sleep=clock.sleep, **options
            )
        return _Awaited(
            sdk.AsyncClient(
                "http://test",
                transport_=httpx.MockTransport(script.asynchronously),
                clock=clock,
                sleep=clock.sleep_asynchronously,
                **options,
            )
        )

    return make


def statuses(request: httpx.Request) -> httpx.Response:
    """Everything asked about is searchable."""
    source = request.url.path.split("/")[3]
    rows = [
        {"source": source, "id": row["id"], "state": "searchable", "version": row["version"], "failure": None}
        for row in json.loads(request.content)["documents"]
    ]
    return httpx.Response(200, json={"documents": rows})


def accepted(request: httpx.Request) -> httpx.Response:
    """Every line of a batch is accepted."""
    source = request.url.path.split("/")[3]
    lines = request.content.splitlines()
    rows = [{"line": n} | receipt(json.loads(line)["id"], 1, source=source) for n, line in enumerate(lines, 1)]
    return httpx.Response(200, content="\n".join(map(json.dumps, rows)))


def test_put_names_the_document_in_the_path_and_returns_the_receipt(connect: Connect) -> None:
    script = Script(httpx.Response(202, json=receipt("a/b c", 7)))
    found = connect(script, api_key="k").put("docs", sdk.Document("a/b c", "words", metadata={"year": 1}, version=7))
    assert found == sdk.Receipt("docs", "a/b c", 7)
    sent = script.requests[0]
    assert (sent.method, sent.url.raw_path) == ("PUT", b"/v1/sources/docs/documents/a%2Fb%20c")
    assert sent.headers["authorization"] == "Bearer k"
    assert script.body(0) == {
        "text": "words",
        "title": "",
        "content_type": "text/plain",
        "metadata": {"year": 1},
        "version": 7,
    }


@pytest.mark.parametrize(("source", "id"), [("docs", ".."), ("docs", "."), ("..", "a"), ("docs", "")])
def test_name_that_a_url_cannot_carry_is_refused_before_it_is_sent(connect: Connect, source: str, id: str) -> None:
    script = Script()
    for call in ("delete", "status"):
        with pytest.raises(sdk.Invalid, match="must not be empty"):
            getattr(connect(script), call)(source, id)
    assert not script.requests


def test_search_answers_with_hits_down_to_the_span(connect: Connect) -> None:
    span = {"start": 12, "end": 15, "text": "cat", "score": 0.9}
    passage = {"ordinal": 0, "start": 8, "end": 20, "text": "the cat sat", "score": 0.8, "spans": [span]}
    hit = {"source": "docs", "id": "a", "version": 1, "title": "T", "metadata": {"k": 1}, "score": 0.7}
    script = Script(
        httpx.Response(200, json={"hits": [hit | {"passages": [passage]}], "took_ms": 3.5, "partial": True})
    )
    result = connect(script).search("cat", limit=3, sources=["docs"], filter={"field": "metadata.k", "eq": 1})
    assert result.hits[0].passages[0].spans == (sdk.Span(12, 15, "cat", 0.9),)
    assert (result.took_ms, result.partial) == (3.5, True)
    conditions = [{"field": "source", "in": ["docs"]}, {"field": "metadata.k", "eq": 1}]
    assert script.body(0) == {"query": "cat", "limit": 3, "filter": {"all": conditions}}


def test_search_waits_for_receipts_and_says_what_it_did_not_wait_for(connect: Connect) -> None:
    body = {"hits": [], "took_ms": 1.0, "partial": False, "by_words": False, "unfinished": ["after"]}
    script = Script(httpx.Response(200, json=body))
    result = connect(script).search("cat", after=[sdk.Receipt("docs", "a", 7)], deadline_ms=200)
    assert result.unfinished == ("after",)
    receipts = [{"source": "docs", "id": "a", "version": 7}]
    assert script.body(0) == {"query": "cat", "limit": 10, "after": receipts, "deadline_ms": 200}


def test_busy_server_is_asked_again_after_the_time_it_names(connect: Connect) -> None:
    clock = Clock()
    script = Script(problem(503, retry_after="2"), problem(429), httpx.Response(200, json={"sources": []}))
    assert connect(script, clock).sources() == []
    assert clock.slept == [2.0, 0.4]


def test_busy_server_is_given_up_when_patience_ends(connect: Connect) -> None:
    clock = Clock()
    with pytest.raises(sdk.Unavailable):
        connect(Script(*[problem(503) for _ in range(50)]), clock).sources()
    assert 20 < clock.now <= 30


def test_server_that_asks_for_more_than_the_patience_is_believed_at_once(connect: Connect) -> None:
    clock = Clock()
    with pytest.raises(sdk.Unavailable) as caught:
        connect(Script(problem(503, retry_after="3600")), clock).sources()
    assert (caught.value.retry_after, clock.now) == (3600, 0)


def test_broken_connection_is_tried_again_but_a_refused_one_is_not(connect: Connect) -> None:
    script = Script(httpx.ReadError("reset"), httpx.Response(200, json={"sources": []}))
    assert connect(script).sources() == []
    with pytest.raises(sdk.Unreachable, match="http://test"):
        connect(Script(httpx.ConnectError("refused"))).sources()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, sdk.Invalid),
        (401, sdk.Unauthorised),
        (403, sdk.Unauthorised),
        (404, sdk.NotFound),
        (409, sdk.Conflict),
        (413, sdk.TooLarge),
        (422, sdk.Invalid),
        (500, sdk.ServerFailed),
    ],
)
def test_problem_becomes_the_error_of_its_status(connect: Connect, status: int, kind: type[sdk.Refused]) -> None:
    body = {"status": status, "detail": "why", "request_id": "r1", "errors": [{"field": "body.x", "detail": "bad"}]}
    with pytest.raises(kind) as caught:
        connect(Script(httpx.Response(status, json=body))).sources()
    assert str(caught.value) == "why; body.x: bad"
    assert (caught.value.status, caught.value.request_id) == (status, "r1")


def test_answer_that_is_no_json_is_an_error_and_no_crash(connect: Connect) -> None:
    with pytest.raises(sdk.ServerFailed, match="Spanstream server"):
        connect(Script(httpx.Response(200, text="<html>"))).sources()
    with pytest.raises(sdk.NotFound):
        connect(Script(httpx.Response(404, text="<html>"))).sources()


def test_ingest_counts_accepted_unchanged_searchable_and_failed(connect: Connect) -> None:
    refusal = {"line": 4, "status": "error", "problem": {"status": 422, "detail": "no text"}}
    taken = [receipt("a"), receipt("b", status="unchanged"), receipt("c")]
    lines = [*({"line": number} | row for number, row in enumerate(taken, 1)), refusal]
    failure = {"version": 1, "stage": "parse", "reason": "EMPTY_TEXT", "detail": "blank"}
    rows = [
        {"source": "docs", "id": "a", "state": "searchable", "version": 1, "failure": None},
        {"source": "docs", "id": "c", "state": "failed", "version": 0, "failure": failure},
    ]
    script = Script(
        httpx.Response(200, content="\n".join(map(json.dumps, lines))), httpx.Response(200, json={"documents": rows})
    )
    seen: list[sdk.Progress] = []
    report = connect(script).ingest("docs", [{"_id": "a"}, {"_id": "b"}, {"_id": "c"}, b"{}"], on_progress=seen.append)
    assert report.counts == sdk.Progress(accepted=3, unchanged=1, searchable=2, failed=2)
    assert report.failures == (
        sdk.Failure("docs", "line 4", "accept", "Invalid", "no text"),
        sdk.Failure("docs", "c", "parse", "EMPTY_TEXT", "blank"),
    )
    assert seen[0] == sdk.Progress(accepted=3, unchanged=1, searchable=1, failed=1)
    assert script.requests[0].content == b'{"_id":"a"}\n{"_id":"b"}\n{"_id":"c"}\n{}\n'


def test_lines_that_could_not_be_made_durable_are_sent_again(connect: Connect) -> None:
    clock = Clock()
    unavailable = {"line": 2, "id": "b", "status": "error", "problem": {"status": 503, "detail": "the log"}}
    lines = [{"line": 1} | receipt("a"), unavailable]  # and nothing about the third
    refusal = {"line": 2, "status": "error", "problem": {"status": 422, "detail": "no text"}}
    script = Script(
        httpx.Response(200, content="\n".join(map(json.dumps, lines))),
        httpx.Response(200, content="\n".join(map(json.dumps, [{"line": 1} | receipt("b"), refusal]))),
    )
    report = connect(script, clock).ingest("docs", [{"id": "a"}, {"id": "b"}, b"{}"], wait=False)
    assert report.counts == sdk.Progress(accepted=2, failed=1)
    assert report.failures[0].id == "line 3"
    assert script.requests[1].content == b'{"id":"b"}\n{}\n'
    assert clock.slept == [0.2]


def test_line_that_is_refused_is_named_by_its_file_and_number_in_words(connect: Connect) -> None:
    def refusal(line: int, id: str | None, field: str, detail: str) -> dict[str, Any]:
        errors = [{"field": field, "detail": detail}]
        return {
            "line": line,
            "id": id,
            "problem": {"status": 422, "detail": "does not fit the schema", "errors": errors},
        }

    rows = [refusal(1, None, "line.id", "is missing"), refusal(2, "b", "line", "has both id and _id")]
    script = Script(httpx.Response(200, content="\n".join(map(json.dumps, rows))))
    lines = [sdk.Line(b'{"text":"x"}\n', "notes.jsonl:7"), sdk.Line(b'{"id":"b"}\n', "notes.jsonl:9")]
    report = connect(script).ingest("docs", lines)
    assert [(failure.id, failure.detail) for failure in report.failures] == [
        ("notes.jsonl:7", "id is missing"),
        ("b", "notes.jsonl:9: has both id and _id"),
    ]
    assert script.requests[0].content == b'{"text":"x"}\n{"id":"b"}\n'


def test_batch_answer_that_is_no_json_is_an_error_of_the_client(connect: Connect) -> None:
    with pytest.raises(sdk.ServerFailed, match="Spanstream server"):
        connect(Script(httpx.Response(200, text="<html>"))).ingest("docs", [{"id": "a"}])


def test_ingest_cuts_batches_by_count_and_by_bytes(connect: Connect) -> None:
    big = "x" * (ingestion.BATCH_BYTES // 3)
    many = (
        {"id": str(i), "text": big if i >= ingestion.BATCH_RECORDS else ""} for i in range(ingestion.BATCH_RECORDS + 4)
    )
    script = Script(accepted, accepted, accepted)
    report = connect(script).ingest("docs", many, wait=False)
    assert [len(request.content.splitlines()) for request in script.requests] == [ingestion.BATCH_RECORDS, 2, 2]
    assert report.counts.accepted == ingestion.BATCH_RECORDS + 4


@pytest.mark.parametrize("options", [{}, {"in_flight": 16}, {"in_flight": 1}], ids=str)
def test_ingest_reads_no_further_while_as_many_as_allowed_are_pending(
    connect: Connect, options: dict[str, int]
) -> None:
    allowed = options.get("in_flight", ingestion.IN_FLIGHT)

    class Slow(Script):
        """Every other question finds nothing settled, the others everything that was asked about."""

        asked, pending, most = 0, 0, 0

        def __call__(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith(":batch"):
                self.pending += len(request.content.splitlines())
                self.most = max(self.most, self.pending)
                return accepted(request)
            rows = json.loads(request.content)["documents"]
            self.asked += 1
            if self.asked % 2:
                pending = [row | {"source": "docs", "state": "pending"} for row in rows]
                return httpx.Response(200, json={"documents": pending})
            self.pending -= len(rows)
            return statuses(request)

    script = Slow()
    items = ({"id": str(number), "text": ""} for number in range(3 * allowed))
    report = connect(script).ingest("docs", items, **options)
    assert allowed * 0.9 <= script.most <= allowed
    assert report.counts.searchable == 3 * allowed


def test_lines_that_come_slowly_wait_a_second_for_each_other(connect: Connect) -> None:
    clock = Clock()

    def slowly() -> Iterator[dict[str, str]]:
        for number in range(5):
            yield {"id": str(number)}
            clock.now += 0.4

    def accepted(request: httpx.Request) -> httpx.Response:
        ids = [json.loads(line)["id"] for line in request.content.splitlines()]
        rows = [{"line": number} | receipt(id) for number, id in enumerate(ids, 1)]
        return httpx.Response(200, content="\n".join(map(json.dumps, rows)))

    script = Script(accepted, accepted)
    report = connect(script, clock).ingest("docs", slowly(), wait=False)
    assert report.counts.accepted == 5
    assert [len(request.content.splitlines()) for request in script.requests] == [4, 1]


def test_ingest_gives_up_when_nothing_moves(connect: Connect) -> None:
    clock = Clock()

    def pending(_request: httpx.Request) -> httpx.Response:
        clock.sleep(0.25)
        row = {"source": "docs", "id": "a", "state": "pending", "version": 0}
        return httpx.Response(200, json={"documents": [row]})

    with pytest.raises(sdk.NotSettled, match="1 accepted"):
        connect(Script(accepted, *[pending] * 50), clock).ingest("docs", [{"id": "a"}], stall=5)
    assert 5 <= clock.now <= 6


def test_ingest_files_uses_relative_paths_as_ids_and_reports_the_unreadable(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.pdf").write_bytes(b"%PDF-")
    (tmp_path / "b.pdf").write_bytes(b"lies")
    script = Script(httpx.Response(202, json=receipt("sub/a.pdf")), problem(415, "not a PDF"), statuses)
    paths = [tmp_path / "sub" / "a.pdf", tmp_path / "b.pdf", tmp_path / "gone.pdf"]
    report = connect(script).ingest_files("docs", tmp_path, paths)
    assert script.requests[0].url.params["id"] == "sub/a.pdf"
    assert script.requests[0].content == b"%PDF-"
    assert report.counts == sdk.Progress(accepted=1, searchable=1, failed=2)
    assert [(failure.id, failure.stage) for failure in report.failures] == [("b.pdf", "accept"), ("gone.pdf", "read")]


def test_a_file_whose_name_is_not_unicode_fails_alone_and_by_its_name(connect: Connect, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.pdf")
    rows = {"line": 1, "id": None, "problem": {"status": 422, "detail": "not valid UTF-8"}}
    script = Script(httpx.Response(200, content=json.dumps(rows)), httpx.Response(202, json=receipt("b.pdf")), statuses)
    (tmp_path / "b.pdf").write_bytes(b"%PDF-")
    items = [sdk.Document(name, "words"), sdk.File(name, tmp_path / "b.pdf"), sdk.File("b.pdf", tmp_path / "b.pdf")]
    report = connect(script).ingest("docs", items)
    assert report.counts == sdk.Progress(accepted=1, searchable=1, failed=2)
    assert [failure.id for failure in report.failures] == [name, name]
    with pytest.raises(sdk.Invalid, match="Unicode"):
        connect(Script()).delete("docs", name)


def test_ingest_stops_at_a_refusal_that_concerns_everything(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-")
    with pytest.raises(sdk.Unauthorised):
        connect(Script(problem(401))).ingest_files("docs", tmp_path, [tmp_path / "a.pdf"])


def test_async_ingest_takes_asynchronous_items() -> None:
    async def items() -> AsyncIterator[dict[str, str]]:
        yield {"id": "a"}
        yield {"id": "b"}

    async def run() -> sdk.Report:
        script = Script(accepted, statuses)
        async with sdk.AsyncClient("http://test", transport_=httpx.MockTransport(script.asynchronously)) as client:
            return await client.ingest("docs", items())

    assert asyncio.run(run()).counts.searchable == 2


def test_wait_searchable_asks_per_source_and_returns_the_failed(connect: Connect) -> None:
    failure = {"version": 1, "stage": "embed", "reason": "EMBED_INVALID", "detail": "NaN"}
    row = {"source": "two", "id": "b", "state": "failed", "version": 0, "failure": failure}
    script = Script(statuses, httpx.Response(200, json={"documents": [row]}))
    receipts = [sdk.Receipt("one", "a", 1), sdk.Receipt("two", "b", 1), sdk.Receipt("two", "c", 1, unchanged=True)]
    failed = connect(script).wait_searchable(receipts)
    assert [(status.id, status.reason) for status in failed] == [("b", "EMBED_INVALID")]
    assert [request.url.path for request in script.requests] == [
        "/v1/sources/one/documents:status",
        "/v1/sources/two/documents:status",
    ]


def test_wrong_argument_is_told_with_the_right_one(connect: Connect) -> None:
    with pytest.raises(TypeError, match=r"a search has no option 'source'; is it 'sources'\?"):
        connect(Script()).search("x", source="notes")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"a search has no option 'xyz'$"):
        connect(Script()).search("x", xyz="notes")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"put takes a Document\(id, text\), not a dict; ingest takes both"):
        connect(Script()).put("docs", {"_id": "a", "text": "words"})  # type: ignore[arg-type]


def test_ingest_goes_to_the_ingest_address(connect: Connect) -> None:
    script = Script(httpx.Response(202, json=receipt("a")), httpx.Response(200, json={"sources": []}))
    client = connect(script, ingest_url="http://ingest:1")
    client.put("docs", sdk.Document("a", "words"))
    client.sources()
    assert [str(request.url.host) for request in script.requests] == ["ingest", "test"]


def test_search_says_options_and_reads_facets_and_cursor(connect: Connect) -> None:
    facets = [{"field": "source", "values": [{"value": "a", "count": 2}]}, {"field": "metadata.n", "values": []}]
    body = {"hits": [], "took_ms": 1.5, "partial": False, "facets": facets, "cursor": "abc"}
    script = Script(httpx.Response(200, json=body), httpx.Response(200, json={"hits": [], "took_ms": 1}))
    client = connect(script)
    boost = {"filter": {"field": "source", "eq": "a"}, "factor": 2}
    recency = {"field": "accepted_at", "half_life_days": 7}
    found = client.search(
        "x", facets={"source": 5, "metadata.n": 3}, boosts=[boost], recency=recency, diversity=0.5, cursor="xyz"
    )
    assert (found.facets, found.cursor) == ({"source": (("a", 2),), "metadata.n": ()}, "abc")
    assert script.body(0) == {
        "query": "x",
        "limit": 10,
        "facets": [{"field": "source", "limit": 5}, {"field": "metadata.n", "limit": 3}],
        "boosts": [boost],
        "recency": recency,
        "diversity": 0.5,
        "cursor": "xyz",
    }
    assert client.search("x").cursor is None
    assert script.body(1) == {"query": "x", "limit": 10}
