"""What the client does, step by step, as generators of effects: retries, batches, waiting. Shared by both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from spanstream.client import calls
from spanstream.client.documents import File
from spanstream.client.effects import Flow, Next, Request, Response, Sleep
from spanstream.client.errors import Broken, NotSettled, Refused, Unavailable
from spanstream.client.pending import Pending, Tally
from spanstream.client.results import Failure, Progress, Receipt, Report, Status

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries, doubling
BATCH_RECORDS, BATCH_BYTES = 500, 4 << 20  # of one request; what is in memory at once
WINDOW = 4000  # documents accepted but not settled before the sending waits
POLL_SECONDS = 0.25  # between two questions about what is pending


def call(request: Request, read: Callable[[Response], T], patience: float = 30.0) -> Flow[T]:
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


def ingest(
    source: str,
    *,
    wait: bool,
    stall: float,
    on_receipt: Callable[[Receipt], None] | None,
    on_progress: Callable[[Progress], None] | None,
    clock: Callable[[], float],
) -> Flow[Report]:
    """Send everything `Next` gives, in order, and wait until it is settled.

    Bounded memory and back-pressure: at most one batch is held, and while WINDOW documents are pending nothing more is
    read. Raises NotSettled when nothing settled for `stall` seconds.
    """
    tally = Tally()
    batch: list[bytes] = []
    size = 0
    moved = asked = clock()

    def note(outcomes: Iterable[Receipt | Failure]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                tally.fail(outcome)
                continue
            tally.accept(outcome)
            if on_receipt is not None:
                on_receipt(outcome)
        tell()

    def tell() -> None:
        if on_progress is not None:
            on_progress(tally.progress())

    def send() -> Flow[None]:
        nonlocal batch, size
        if batch:
            lines, batch, size = batch, [], 0
            note((yield from _send(source, lines, stall)))

    def look(limit: int) -> Flow[None]:
        """Ask about what is pending, when it is time, until at most `limit` is."""
        nonlocal moved, asked
        while wait and tally.pending and (len(tally.pending) > limit or clock() - asked >= POLL_SECONDS):
            if (early := asked + POLL_SECONDS - clock()) > 0:
                yield Sleep(early)
            if tally.settle((yield from _ask(tally.pending, stall))):
                moved = clock()
                tell()
            asked = clock()
            if len(tally.pending) <= limit:
                return
            if asked - moved > stall:
                raise NotSettled(f"{len(tally.pending)} accepted documents have not become searchable yet")

    while (item := (yield Next())) is not None:
        if isinstance(item, File):
            yield from send()
            note([(yield from _upload(source, item, stall))])
        else:
            line = calls.line(item)
            if len(batch) == BATCH_RECORDS or (batch and size + len(line) > BATCH_BYTES):
                yield from send()
            batch.append(line)
            size += len(line)
        moved = moved if tally.pending else clock()
        yield from look(WINDOW)
    yield from send()
    moved = clock()
    yield from look(0)
    return tally.report()


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
        settled = pending.settle((yield from _ask(pending, timeout)))
        failed += [status for status, _ in settled if status.state == "failed"]
        if pending and not settled:
            if clock() > end:
                raise NotSettled(f"{len(pending)} accepted documents have not become searchable in {timeout:g} s")
            yield Sleep(min(POLL_SECONDS, 0.05 * len(pending)))
    return tuple(failed)


def statuses(source: str, asked: Iterable[tuple[str, int | None]]) -> Flow[list[Status]]:
    """The states of any number of documents, in order."""
    wanted = list(asked)
    found: list[Status] = []
    for start in range(0, len(wanted), calls.MAX_STATUSES):
        part = wanted[start : start + calls.MAX_STATUSES]
        found += yield from call(calls.statuses(source, part), calls.read_statuses)
    return found


def _ask(pending: Pending, patience: float) -> Flow[list[Status]]:
    source, asked = pending.ask(calls.MAX_STATUSES)
    return (yield from call(calls.statuses(source, asked), calls.read_statuses, patience))


def _send(source: str, lines: list[bytes], patience: float) -> Flow[list[Receipt | Failure]]:
    """One batch; a batch over the server's limit is sent in halves, so that only the line that is too large is refused."""

    def read(response: Response) -> list[Receipt | Failure]:
        return list(calls.read_batch(source, response))

    return (yield from call(calls.batch(source, lines), read, patience))


def _upload(source: str, file: File, patience: float) -> Flow[Receipt | Failure]:
    """One file; what cannot be read or is refused for its content is a Failure, other errors end the ingest."""
    try:
        request = calls.upload(source, file)
    except OSError as error:
        return Failure(source, file.id, "read", type(error).__name__, error.strerror or str(error))
    try:
        return (yield from call(request, calls.read_receipt, patience))
    except Refused as error:
        if error.status in (400, 409, 413, 415, 422):
            return calls.refused(source, file.id, error)
        raise
