"""kill -9 of the one process at random moments of an ingest: nothing that was acknowledged is lost, doubled or half."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from spanstream.client import Client, Document, NotSettled, Receipt, SpanstreamError, Unavailable, Unreachable
from tests.fixtures.product import Product, free_port

SOURCE = "chaos"
BATCH = 10  # operations of one request
SETTLE_SECONDS = 240.0
PUT, REWRITE, DELETE = 1, 2, 3  # an operation is its version


def word(number: int, version: int, place: str) -> str:
    """A word of one version of one document only. It has no ending that a stemmer would cut off."""
    digits = "".join("bcdfghjkmp"[int(digit)] for digit in str(number))
    return f"w{digits}q{'bcdf'[version]}{place}x"


def text(number: int, version: int) -> str:
    """Two passages or more; its first sentence and its last have a word of their own."""
    middle = " ".join(f"Sentence {i} of it says that the tide comes and goes with the moon." for i in range(17))
    return f"It begins with {word(number, version, 'a')}. {middle} It ends with {word(number, version, 'o')}."


@dataclass
class Plan:
    """Which operations, in order, and how every document ends: its version, 0 if deleted."""

    operations: list[tuple[int, int]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, count: int, chance: random.Random) -> Plan:
        """Every document is put; some are rewritten, some are deleted, both a good while after they were put."""
        plan = cls()
        later: list[tuple[int, int]] = []
        for number in range(count):
            plan.operations.append((number, PUT))
            plan.ends[number] = PUT
            kind = chance.random()
            if kind < 0.3:
                later.append((number, REWRITE if kind < 0.2 else DELETE))
            if len(later) > 2 * BATCH:
                plan._change(later.pop(chance.randrange(len(later))))
        for change in later:
            plan._change(change)
        return plan

    def _change(self, operation: tuple[int, int]) -> None:
        number, version = operation
        self.operations.append(operation)
        self.ends[number] = version if version == REWRITE else 0


class Ingest(threading.Thread):
    """Sends a plan through the public client, and sends again what was not acknowledged.

    Waits for the batch before last to be searchable, so that the kills meet documents in every stage.
    """

    def __init__(self, client: Client, plan: Plan) -> None:
        super().__init__(name="ingest", daemon=True)
        self.failure: BaseException | None = None
        self.acknowledged = 0
        self.interruptions = 0
        self._client, self._plan = client, plan

    def run(self) -> None:
        try:
            operations = self._plan.operations
            before: list[Receipt] = []
            for start in range(0, len(operations), BATCH):
                receipts = self._insist(partial(self._send, operations[start : start + BATCH]))
                self.acknowledged += len(receipts)
                self._insist(partial(self._settle, before))
                before = receipts
        except BaseException as error:  # noqa: BLE001 raised again by the test
            self.failure = error

    def _insist(self, act: Callable[[], list[Receipt]]) -> list[Receipt]:
        """Again, until there is an answer. The same operation twice is one operation."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                return act()
            except (Unreachable, Unavailable, NotSettled):
                self.interruptions += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _send(self, operations: list[tuple[int, int]]) -> list[Receipt]:
        receipts: list[Receipt] = []
        documents = [Document(str(number), text(number, v), version=v) for number, v in operations if v != DELETE]
        report = self._client.ingest(SOURCE, documents, wait=False, stall=1.0, on_receipt=receipts.append)
        assert not report.failures
        receipts += [self._client.delete(SOURCE, str(n), version=v) for n, v in operations if v == DELETE]
        assert len(receipts) == len(operations)
        return receipts

    def _settle(self, receipts: list[Receipt]) -> list[Receipt]:
        failed = self._client.wait_searchable(receipts, timeout=90)
        assert not failed
        return receipts


def _kill_at_random(
    running: Product, options: list[str], ingest: Ingest, kills: int, operations: int, chance: random.Random
) -> Product:
    """Kill it once in each of `kills` stretches of the ingest, and start it again; returns the last one."""
    stretch = operations / (kills + 1)
    for number in range(kills):
        moment = (number + chance.uniform(0.3, 1.2)) * stretch
        while ingest.acknowledged < moment and ingest.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))  # anywhere between two acknowledgements, not just after one
        assert ingest.is_alive(), ingest.failure or "the ingest was over before the kill"
        print(f"kill {number + 1} after {ingest.acknowledged} of {operations} acknowledgements")
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        running = Product.start(running.folder, *options, ports=(running.port, running.admin))
        running.wait_ready()
    return running


@pytest.fixture
def seed() -> int:
    """Printed, so that a failure can be repeated as far as a race can be."""
    number = time.time_ns() % 2**32
    print(f"seed {number}")
    return number


@pytest.mark.timeout(2400)
@pytest.mark.promise("I1", "I3", "I5", "I7", "I9")
def test_kills_lose_nothing_double_nothing_and_leave_nothing_half(tmp_path: Path, seed: int, long: bool) -> None:
    # The short form has no model to load three times: it then takes seconds, and the kills meet the same stages.
    count, kills, options = (
        (2000, 10, ["--no-samples"]) if long else (150, 2, ["--no-samples", "--encoder-url", "hash:64"])
    )
    chance = random.Random(seed)
    plan = Plan.of(count, chance)
    running = Product.start(tmp_path, *options, ports=(free_port(), free_port()))
    try:
        running.wait_ready()
        with running.client() as sender, running.client() as client:
            ingest = Ingest(sender, plan)
            ingest.start()
            running = _kill_at_random(running, options, ingest, kills, len(plan.operations), chance)
            ingest.join(SETTLE_SECONDS)
            assert not ingest.is_alive()
            assert ingest.failure is None, repr(ingest.failure)
            assert ingest.acknowledged == len(plan.operations)
            assert ingest.interruptions >= 1
            _check_states(client, plan)
            _check_searches(client, plan, chance.sample(sorted(plan.ends), min(count, 400)))
            failures = [topic for topic in running.json("topics", "list") if topic["name"] == "failures.v1"]
            assert failures[0]["records"] == 0  # a kill is nobody's poison
    finally:
        running.__exit__()


def _check_states(client: Client, plan: Plan) -> None:
    """All that was acknowledged is in the state in which it must end, once."""
    last = {number: version or DELETE for number, version in plan.ends.items()}
    receipts = [Receipt(SOURCE, str(number), version) for number, version in last.items()]
    assert client.wait_searchable(receipts, timeout=SETTLE_SECONDS) == ()
    found = client.statuses(SOURCE, [(str(number), None) for number in last])
    wanted = [("searchable", version) if version else ("deleted", DELETE) for version in plan.ends.values()]
    assert [(status.state, status.version) for status in found] == wanted
    live = sum(version > 0 for version in plan.ends.values())
    assert [(each.name, each.documents) for each in client.sources()] == [(SOURCE, live)]


def _check_searches(client: Client, plan: Plan, numbers: list[int]) -> None:
    """The first and the last words of the newest version are found, in one passage each; older words never."""
    for number in numbers:
        for version, place in _words():
            sought = word(number, version, place)
            wanted = [(str(number), version, 1)] if version == plan.ends[number] else []
            assert list(_found(client, sought)) == wanted, (number, plan.ends[number], sought)


def _words() -> Iterator[tuple[int, str]]:
    yield from ((version, place) for version in (PUT, REWRITE) for place in "ao")


def _found(client: Client, sought: str) -> Iterator[tuple[str, int, int]]:
    """For each hit its id, its version, and how many of its passages have the word."""
    try:
        hits = client.search(sought, mode="lexical", limit=10).hits
    except SpanstreamError as error:
        raise AssertionError(f"the search for {sought} failed") from error
    for hit in hits:
        yield hit.id, hit.version, sum(sought in passage.text for passage in hit.passages)
