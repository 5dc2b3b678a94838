"""What the client does, step by step, as generators of effects: retries and waiting. Shared by both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from spanstream.client import calls
from spanstream.client.effects import Flow, Request, Response, Sleep
from spanstream.client.errors import Broken, NotSettled, SpanstreamError, Unavailable, Unreachable
from spanstream.client.pending import Pending
from spanstream.client.results import Content, Receipt, Status

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries, doubling
PATIENCE = 30.0  # seconds of pauses until an answer is given up
LONGEST_WAIT = 10.0  # seconds that one question may wait at the server


def call(request: Request, read: Callable[[Response], T], patience: float = PATIENCE) -> Flow[T]:
    """Send until it is answered: again after a 429, a 503 or a broken connection, for at most `patience` seconds of waiting.

    Every request is safe to repeat. A server that asks for more than the patience left is believed at once.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            response: Response = yield request
        except Broken:
            if pause > patience:
                raise
            wait = pause
        else:
            if response.status < 400:
                return read(response)
            error = calls.refusal(response)
            wait = max(pause, error.retry_after or 0.0) if isinstance(error, Unavailable) else patience + 1
            if wait > patience:
                raise error
        yield Sleep(wait)
        patience -= wait
        pause = min(2 * pause, LONGEST_PAUSE)


def pause(failure: SpanstreamError, patience: float) -> float:
    """Seconds until a stream that failed is tried again; raises the failure where that is useless or over `patience`."""
    asked = failure.retry_after if isinstance(failure, Unavailable) else None
    wait = max(1.0, asked or 0.0)
    if not isinstance(failure, Broken | Unreachable | Unavailable) or wait > patience:
        raise failure
    return wait


def wait_searchable(
    receipts: Iterable[Receipt], *, timeout: float, clock: Callable[[], float]
) -> Flow[tuple[Status, ...]]:
    """Wait until all are settled; returns those that failed. Raises NotSettled after `timeout` seconds."""
    pending = Pending()
    for receipt in receipts:
        if not receipt.unchanged:
            pending.add(receipt)
    failed: list[Status] = []
    end = clock() + timeout
    while pending:
        if (left := end - clock()) <= 0:
            raise NotSettled(f"{len(pending)} accepted documents have not become searchable in {timeout:g} s")
        settled = pending.settle((yield from ask(pending, min(left, LONGEST_WAIT), left)))
        failed += [status for status, _ in settled if status.state == "failed"]
    return tuple(failed)


def statuses(source: str, asked: Iterable[tuple[str, int | None]]) -> Flow[list[Status]]:
    """The states of any number of documents, in order."""
    wanted = list(asked)
    found: list[Status] = []
    for start in range(0, len(wanted), calls.MAX_STATUSES):
        part = wanted[start : start + calls.MAX_STATUSES]
        found += yield from call(calls.statuses(source, part), calls.read_statuses)
    return found


def content(source: str, id: str) -> Flow[Content]:
    """All pages of a document; from the beginning where it was replaced meanwhile."""
    pages: list[Content] = []
    first: int | None = 0
    while first is not None:
        page, first = yield from call(calls.content(source, id, first), calls.read_content)
        if pages and page.content_hash != pages[0].content_hash:
            pages, first = [], 0
        else:
            pages.append(page)
    return replace(pages[0], passages=tuple(passage for page in pages for passage in page.passages))


def ask(pending: Pending, wait: float, patience: float) -> Flow[list[Status]]:
    """The states of some that are pending; the server waits up to `wait` seconds for all of those to settle."""
    source, asked = pending.ask(calls.MAX_STATUSES)
    return (yield from call(calls.statuses(source, asked, wait), calls.read_statuses, patience))
