"""Which accepted documents are not settled yet, and the counts of an ingest. Pure: no clock, no network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from spanstream.client.results import Failure, Progress, Receipt, Report, Status

MAX_FAILURES = 1000  # kept with their reasons; the count goes on


class Pending:
    """Receipts on their way, oldest first; a later receipt of the same document stands for the earlier ones too."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()  # -> version, receipts

    def __len__(self) -> int:
        """How many documents are on their way."""
        return len(self._waiting)

    def add(self, receipt: Receipt) -> None:
        """Wait for this one."""
        key = (receipt.source, receipt.id)
        version, receipts = self._waiting.pop(key, (0, 0))
        self._waiting[key] = (max(version, receipt.version), receipts + 1)

    def ask(self, limit: int) -> tuple[str, list[tuple[str, int]]]:
        """A source, and up to `limit` (id, version) of it to ask about next."""
        source = next(iter(self._waiting))[0]
        asked = []
        for (name, id), (version, _) in self._waiting.items():
            if name == source:
                asked.append((id, version))
                if len(asked) == limit:
                    break
        return source, asked

    def settle(self, statuses: Iterable[Status]) -> list[tuple[Status, int]]:
        """Forget what is settled; returns it with the number of receipts each stood for.

        If nothing was, those asked about go to the back, so that a few slow documents never hide the others.
        """
        seen = list(statuses)
        settled = []
        for status in seen:
            key = (status.source, status.id)
            if status.settled and key in self._waiting:
                settled.append((status, self._waiting.pop(key)[1]))
        if not settled:
            for status in seen:
                if (status.source, status.id) in self._waiting:
                    self._waiting.move_to_end((status.source, status.id))
        return settled


class Tally:
    """The counts of one ingest; without `wait` nothing is ever pending, nor counted as searchable."""

    def __init__(self, wait: bool = True) -> None:
        self._wait = wait
        self.pending = Pending()
        self._accepted = self._unchanged = self._searchable = self._failed = 0
        self._failures: list[Failure] = []

    def accept(self, receipt: Receipt) -> None:
        """Taken by the server; the unchanged are searchable already."""
        self._accepted += 1
        if receipt.unchanged:
            self._unchanged += 1
            self._searchable += 1
        elif self._wait:
            self.pending.add(receipt)

    def fail(self, failure: Failure) -> None:
        """Refused, or failed at a later stage."""
        self._failed += 1
        if len(self._failures) < MAX_FAILURES:
            self._failures.append(failure)

    def settle(self, statuses: Iterable[Status]) -> int:
        """Note statuses; returns how many documents they settled. A deleted document counts as done."""
        settled = self.pending.settle(statuses)
        for status, receipts in settled:
            if status.state == "failed":
                self.fail(Failure(status.source, status.id, status.stage, status.reason, status.detail))
            else:
                self._searchable += receipts
        return len(settled)

    def progress(self) -> Progress:
        """The counts now."""
        return Progress(self._accepted, self._unchanged, self._searchable, self._failed)

    def report(self) -> Report:
        """The counts and the failures."""
        return Report(self.progress(), tuple(self._failures))
