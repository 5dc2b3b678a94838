"""The asynchronous client: the same methods, to be awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
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
from spanstream.client.saved import AsyncStandingQueries
from spanstream.client.standing import Following, Match
from spanstream.client.workbench import AsyncFailures

T = TypeVar("T")


class AsyncClient:
    """A connection to Spanstream; use it in an `async with` block, or await `close`. One task at a time per call of `ingest`.

    Everything else is as in `Client`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        ingest_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        transport_: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`timeout`: seconds for one answer. The last three are for tests."""
        self.connection = config.resolve(url, ingest_url, api_key)
        self._http = httpx.AsyncClient(
            headers=transport.headers(self.connection), timeout=timeout, transport=transport_, trust_env=True
        )
        self._clock = clock
        self._sleep = sleep

    async def put(self, source: str, document: Document) -> Receipt:
        """Upsert one document; returns when it is durable, which is a little before it is searchable."""
        return await self._run(flows.call(calls.put(source, document), calls.read_receipt))

    async def delete(self, source: str, id: str, *, version: int | None = None) -> Receipt:
        """Delete a document; `wait_searchable([receipt])` returns once no search finds it."""
        return await self._run(flows.call(calls.delete(source, id, version), calls.read_receipt))

    async def ingest(
        self,
        source: str,
        items: Iterable[Item | bytes] | AsyncIterable[Item | bytes],
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
        return await self._run(ingestion.flow(), _asynchronous(items))

    async def ingest_files(self, source: str, folder: Path, paths: Iterable[Path], **options: Any) -> Report:
        """`ingest` the files; the id of each is its path relative to `folder`, with '/'."""
        return await self.ingest(source, (File(path.relative_to(folder).as_posix(), path) for path in paths), **options)

    async def status(self, source: str, id: str, *, version: int | None = None, wait: float | None = None) -> Status:
        """The state of a document, of `version` if given; waits up to `wait` seconds for it to settle."""
        return await self._run(flows.call(calls.status(source, id, version, wait), calls.read_status))

    async def erase(self, source: str | None = None) -> int:
        """Delete up to 1,000 documents of a source, or of the tenant; how many. Ask again until there are none."""
        return await self._run(flows.call(calls.erase(source), calls.read_erased))

    async def erasure_receipt(self, source: str | None = None, id: str | None = None) -> dict[str, Any]:
        """What is left of a document, a source or all of the tenant, signed: a JSON object to be kept as it is."""
        return await self._run(flows.call(calls.erasure_receipt(source, id), calls.read_erasure_receipt))

    async def statuses(self, source: str, asked: Iterable[tuple[str, int | None]]) -> list[Status]:
        """The states of many (id, version or None), in order."""
        return await self._run(flows.statuses(source, asked))

    async def wait_searchable(self, receipts: Iterable[Receipt], *, timeout: float = 60.0) -> tuple[Status, ...]:
        """Wait until all are searchable (or deleted); returns those that failed. Raises NotSettled after `timeout` seconds."""
        return await self._run(flows.wait_searchable(receipts, timeout=timeout, clock=self._clock))

    async def search(self, query: str | Mapping[str, Any], **options: Unpack[SearchOptions]) -> SearchResult:
        """The documents that match best, each with its passages and best spans.

        `query`: a text, or a set of meanings such as {"all": ["solar power", {"not": "price"}]}.
        """
        return await self._run(flows.call(calls.search(query, options), calls.read_search))

    async def similar(
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
        return await self._run(flows.call(request, calls.read_search))

    async def explain_miss(
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
        return await self._run(flows.call(request, calls.read_miss))

    async def content(self, source: str, id: str) -> Content:
        """A live document: its passages in order, and the offsets of all their spans."""
        return await self._run(flows.content(source, id))

    async def sources(self) -> list[Source]:
        """The sources with their numbers of live documents."""
        return await self._run(flows.call(calls.sources(), calls.read_sources))

    @property
    def failures(self) -> AsyncFailures:
        """Records that failed: what, why, and once more."""
        return AsyncFailures(self._run)

    @property
    def standing_queries(self) -> AsyncStandingQueries:
        """The queries that new documents are matched with."""
        return AsyncStandingQueries(self._run)

    async def matches(self, query: str | None = None, *, position: str | None = None) -> AsyncIterator[Match]:
        """What standing queries, or one, find from now on, or from behind an earlier match's `position`; each match once.

        Does not end: connects again where the connection breaks, until no server has answered for half a minute.
        """
        following, left = Following(query, position), flows.PATIENCE
        while True:
            request = following.request()
            wait = flows.FIRST_PAUSE
            failure: SpanstreamError | None = None
            try:
                async with self._http.stream(**transport.arguments(self.connection, request)) as answer:
                    if answer.status_code < 400:
                        left = flows.PATIENCE
                        async for line in answer.aiter_lines():
                            if (match := following.line(line)) is not None:
                                yield match
                    else:
                        await answer.aread()
                        failure = calls.refusal(transport.response(answer))
            except httpx.HTTPError as error:
                failure = transport.failure(error, self.connection, request)
            if failure is not None:
                wait = flows.pause(failure, left)
            await self._sleep(wait)
            left -= wait

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Use it in a block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def _run(self, flow: Flow[T], items: AsyncIterator[Any] | None = None) -> T:
        answer: Any = None
        failure: SpanstreamError | None = None
        while True:
            try:
                effect = flow.throw(failure) if failure else flow.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer = failure = None
            if isinstance(effect, Sleep):
                await self._sleep(effect.seconds)
            elif isinstance(effect, Next):
                answer = await anext(items, None) if items else None
            else:
                try:
                    answer = transport.response(
                        await self._http.request(**transport.arguments(self.connection, effect))
                    )
                except httpx.HTTPError as error:
                    failure = transport.failure(error, self.connection, effect)


async def _asynchronous(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
