"""The flow of an ingest: batches out, receipts in, and what became of them. Shared by both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spanstream.client import calls, flows
from spanstream.client.documents import Document, File, Line, Record
from spanstream.client.effects import Flow, Next, Sleep
from spanstream.client.errors import NotSettled, Refused, Unavailable
from spanstream.client.pending import Tally
from spanstream.client.results import Failure, Progress, Receipt, Report

BATCH_RECORDS, BATCH_BYTES = 500, 4 << 20  # of one request; what is in memory at once
BATCH_SECONDS = 1.0  # that the first of a batch waits for others while they come slowly
IN_FLIGHT = 4000  # documents accepted but not settled, at most, unless the caller says otherwise
POLL_SECONDS = 0.25  # between two questions about what is pending
UNFIT = frozenset({400, 409, 413, 415, 422})  # the fault of one file; other refusals concern all of them


class Ingestion:
    """One ingest. `wait`: until everything is settled. `stall`: seconds without any progress after which to give up.

    `in_flight`: documents that may be accepted but not settled.
    """

    def __init__(
        self,
        source: str,
        *,
        wait: bool,
        stall: float,
        in_flight: int,
        on_receipt: Callable[[Receipt], None] | None,
        on_progress: Callable[[Progress], None] | None,
        clock: Callable[[], float],
    ) -> None:
        self._source, self._wait, self._stall, self._clock = source, wait, stall, clock
        self._on_receipt, self._on_progress = on_receipt, on_progress
        # Half of them at most in one batch, so that some are always on their way while the next are sent.
        self._records = max(1, min(BATCH_RECORDS, in_flight // 2))
        self._room = max(0, in_flight - self._records)
        self._tally = Tally(wait)
        self._batch: list[bytes] = []
        self._places: list[str] = []  # of each line of the batch; of a document its id
        self._bytes = 0
        self._begun = 0.0  # when the first of the batch came
        self._lines = 0  # read so far
        self._moved = self._asked = clock()

    def flow(self) -> Flow[Report]:
        """Send everything that `Next` gives, in order, and wait until it is settled.

        Bounded memory and back-pressure: one batch is held, and nothing more is read while the pending leave no room for it.
        """
        while (item := (yield Next())) is not None:
            if isinstance(item, File):
                yield from self._send()
                yield from self._upload(item)
            else:
                line = calls.line(item)
                if len(self._batch) == self._records or (self._batch and self._bytes + len(line) > BATCH_BYTES):
                    yield from self._send()
                if not self._batch:
                    self._begun = self._clock()
                self._lines += 1
                self._batch.append(line)
                self._places.append(_place(item))
                self._bytes += len(line)
                if self._clock() - self._begun >= BATCH_SECONDS:
                    yield from self._send()
            yield from self._look(self._room)
        yield from self._send()
        yield from self._look(0)
        return self._tally.report()

    def _send(self) -> Flow[None]:
        """The batch, if there is any; again those of its lines that the server could not make durable just now."""
        lines, places = self._batch, self._places
        self._batch, self._places, self._bytes = [], [], 0
        patience, pause = self._stall, flows.FIRST_PAUSE
        numbers = list(range(self._lines - len(lines) + 1, self._lines + 1))
        while lines:
            rows = yield from flows.call(calls.batch(self._source, lines), calls.read_batch, patience)
            settled: set[int] = set()
            outcomes: list[Receipt | Failure] = []
            for number, outcome, id in rows:
                if isinstance(outcome, Unavailable):
                    continue
                settled.add(number - 1)
                if isinstance(outcome, Refused):
                    place = places[number - 1]
                    name = id or place or f"line {numbers[number - 1]}"
                    outcomes.append(calls.refused(self._source, name, outcome, "" if place == name else place))
                else:
                    outcomes.append(outcome)
            self._note(outcomes)
            lines = [line for i, line in enumerate(lines) if i not in settled]
            numbers = [number for i, number in enumerate(numbers) if i not in settled]
            places = [place for i, place in enumerate(places) if i not in settled]
            if lines:
                if pause > patience:
                    raise Unavailable(503, f"{len(lines)} documents could not be made durable in {self._stall:g} s")
                yield Sleep(pause)
                patience -= pause
                pause = min(2 * pause, flows.LONGEST_PAUSE)

    def _upload(self, file: File) -> Flow[None]:
        """One file; if it cannot be read, or is refused for what it is, it failed; other errors end the ingest."""
        outcome: Receipt | Failure
        try:
            request = calls.upload(self._source, file)
            outcome = yield from flows.call(request, calls.read_receipt, self._stall)
        except OSError as error:
            outcome = Failure(self._source, file.id, "read", type(error).__name__, error.strerror or str(error))
        except Refused as error:
            if error.status not in UNFIT:
                raise
            outcome = calls.refused(self._source, file.id, error)
        self._note([outcome])

    def _note(self, outcomes: Iterable[Receipt | Failure]) -> None:
        if not self._tally.pending:
            self._moved = self._clock()
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                self._tally.fail(outcome)
                continue
            self._tally.accept(outcome)
            if self._on_receipt is not None:
                self._on_receipt(outcome)
        self._tell()

    def _look(self, limit: int) -> Flow[None]:
        """Ask about what is pending if it is time, and again while more than `limit` is."""
        pending = self._tally.pending
        while pending and ((crowded := len(pending) > limit) or self._clock() - self._asked >= POLL_SECONDS):
            statuses = yield from flows.ask(pending, POLL_SECONDS if crowded else 0.0, self._stall)
            self._asked = self._clock()
            if self._tally.settle(statuses):
                self._moved = self._asked
                self._tell()
            elif self._asked - self._moved > self._stall:
                raise NotSettled(f"{len(pending)} accepted documents have not become searchable yet")

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._tally.progress())


def _place(item: Document | Line | Record) -> str:
    """What names it where the server cannot."""
    if isinstance(item, Line):
        return item.place
    return item.id if isinstance(item, Document) else ""
