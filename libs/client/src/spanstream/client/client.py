"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import httpx

from spanstream.client import calls, config, flows, transport
from spanstream.client.documents import Document, File, Item
from spanstream.client.effects import Flow, Next, Sleep
from spanstream.client.errors import SpanstreamError
from spanstream.client.explanations import Miss
from spanstream.client.ingestion import IN_FLIGHT, Ingestion
from spanstream.client.options import SearchOptions
from spanstream.client.results import Content, Progress, Receipt, Report, SearchResult, Source, Status
from spanstream.client.saved import StandingQueries
from spanstream.client.standing import Following, Match
from spanstream.client.workbench import Failures

T = TypeVar("T")


class Client:
    """A connection to Spanstream; use it in a `with` block, or call `close`. One thread at a time.

    Address and key: the arguments, else SPANSTREAM_URL, SPANSTREAM_INGEST_URL, SPANSTREAM_API_KEY, else what
    `spanstream up` saved. Methods raise SpanstreamError; 429 and 503 are tried again for up to half a minute first.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        ingest_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        transport_: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout`: seconds for one answer. The last three are for tests."""
        self.connection = config.resolve(url, ingest_url, api_key)
        self._http = httpx.Client(
            headers=transport.headers(self.connection), timeout=timeout, transport=transport_, trust_env=True
        )
        self._clock = clock
        self._sleep = sleep

    def put(self, source: str, document: Document) -> Receipt:
        """Upsert one document; returns when it is durable, which is a little before it is searchable."""
        return self._run(flows.call(calls.put(source, document), calls.read_receipt))

    def delete(self, source: str, id: str, *, version: int | None = None) -> Receipt:
        """Delete a document; `wait_searchable([receipt])` returns once no search finds it."""
        return self._run(flows.call(calls.delete(source, id, version), calls.read_receipt))

    def ingest(
        self,
        source: str,
        items: Iterable[Item | bytes],
        *,
        wait: bool = True,
        stall: float = 300.0,
        in_flight: int = IN_FLIGHT,
        on_receipt: Callable[[Receipt], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Upsert any number of documents, records, files, or lines of NDJSON, in order and in bounded memory.

        With `wait` returns when all are searchable or failed, and reads no further while `in_flight` are pending: few
        leave room for what others send meanwhile. Raises NotSettled if nothing moved for `stall` seconds. A refused or
        failed document is in the report.
        """
        ingestion = Ingestion(
            source,
            wait=wait,
            stall=stall,
            in_flight=in_flight,
            on_receipt=on_receipt,
            on_progress=on_progress,
            clock=self._clock,
        )
        return self._run(ingestion.flow(), iter(items))

    def ingest_files(self, source: str, folder: Path, paths: Iterable[Path], **options: Any) -> Report:
        """`ingest` the files; the id of each is its path relative to `folder`, with '/'."""
        return self.ingest(source, (File(path.relative_to(folder).as_posix(), path) for path in paths), **options)

    def status(self, source: str, id: str, *, version: int | None = None, wait: float | None = None) -> Status:
        """The state of a document, of `version` if given; waits up to `wait` seconds for it to settle."""
        return self._run(flows.call(calls.status(source, id, version, wait), calls.read_status))

    def erase(self, source: str | None = None) -> int:
        """Delete up to 1,000 documents of a source, or of the tenant; how many. Ask again until there are none."""
        return self._run(flows.call(calls.erase(source), calls.read_erased))

    def erasure_receipt(self, source: str | None = None, id: str | None = None) -> dict[str, Any]:
        """What is left of a document, a source or all of the tenant, signed: a JSON object to be kept as it is."""
        return self._run(flows.call(calls.erasure_receipt(source, id), calls.read_erasure_receipt))

    def statuses(self, source: str, asked: Iterable[tuple[str, int | None]]) -> list[Status]:
        """The states of many (id, version or None), in order."""
        return self._run(flows.statuses(source, asked))

    def wait_searchable(self, receipts: Iterable[Receipt], *, timeout: float = 60.0) -> tuple[Status, ...]:
        """Wait until all are searchable (or deleted); returns those that failed. Raises NotSettled after `timeout` seconds."""
        return self._run(flows.wait_searchable(receipts, timeout=timeout, clock=self._clock))

    def search(self, query: str | Mapping[str, Any], **options: Unpack[SearchOptions]) -> SearchResult:
        """The documents that match best, each with its passages and best spans.

        `query`: a text, or a set of meanings such as {"all": ["solar power", {"not": "price"}]}.
        """
        return self._run(flows.call(calls.search(query, options), calls.read_search))

    def similar(
        self,
        source: str,
        id: str,
        *,
        start: int | None = None,
        end: int | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """More like a document, or like its characters `start` to `end`: a passage, a span. It is not found itself."""
        request = calls.similar(source, id, start, end, options)
        return self._run(flows.call(request, calls.read_search))

    def explain_miss(
        self,
        query: str | Mapping[str, Any],
        source: str,
        id: str,
        *,
        version: int | None = None,
        **options: Unpack[SearchOptions],
    ) -> Miss:
        """Why a document is not among the hits of a search; `version`: of its receipt."""
        request = calls.explain_miss(query, source, id, version, options)
        return self._run(flows.call(request, calls.read_miss))

    def content(self, source: str, id: str) -> Content:
        """A live document: its passages in order, and the offsets of all their spans."""
        return self._run(flows.content(source, id))

    def sources(self) -> list[Source]:
        """The sources with their numbers of live documents."""
        return self._run(flows.call(calls.sources(), calls.read_sources))

    @property
    def failures(self) -> Failures:
        """Records that failed: what, why, and once more."""
        return Failures(self._run)

    @property
    def standing_queries(self) -> StandingQueries:
        """The queries that new documents are matched with."""
        return StandingQueries(self._run)

    def matches(self, query: str | None = None, *, position: str | None = None) -> Iterator[Match]:
        """What standing queries, or one, find from now on, or from behind an earlier match's `position`; each match once.

        Does not end: connects again where the connection breaks, until no server has answered for half a minute.
        """
        following, left = Following(query, position), flows.PATIENCE
        while True:
            request = following.request()
            wait = flows.FIRST_PAUSE
            failure: SpanstreamError | None = None
            try:
                with self._http.stream(**transport.arguments(self.connection, request)) as answer:
                    if answer.status_code < 400:
                        left = flows.PATIENCE
                        for line in answer.iter_lines():
                            if (match := following.line(line)) is not None:
                                yield match
                    else:
                        answer.read()
                        failure = calls.refusal(transport.response(answer))
            except httpx.HTTPError as error:
                failure = transport.failure(error, self.connection, request)
            if failure is not None:
                wait = flows.pause(failure, left)
            self._sleep(wait)
            left -= wait

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Use it in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _run(self, flow: Flow[T], items: Any = iter(())) -> T:
        answer: Any = None
        failure: SpanstreamError | None = None
        while True:
            try:
                effect = flow.throw(failure) if failure else flow.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer = failure = None
            if isinstance(effect, Sleep):
                self._sleep(effect.seconds)
            elif isinstance(effect, Next):
                answer = next(items, None)
            else:
                try:
                    answer = transport.response(self._http.request(**transport.arguments(self.connection, effect)))
                except httpx.HTTPError as error:
                    failure = transport.failure(error, self.connection, effect)
