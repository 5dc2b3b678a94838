from __future__ import annotations

from contextlib import nullcontext

import pytest

from spanstream.eventlog.log import Record
from spanstream.events.ids import Key
from spanstream.indexer.changes import Part
from spanstream.indexer.handler import Indexer
from spanstream.indexer.sweeping import WAITING_DAYS, Sweeper
from spanstream.indexer.vectors import passages
from spanstream.store.memory import MemoryStore
from spanstream.store.points import Head, State
from tests.unit.indexer.documents import GENERATION, Document
from tests.unit.indexer.test_retention import START, opened

KEY = Key("acme", "wiki", "a")
DAY_US = 86_400_000_000


class Bench:
    def __init__(self, limit: int = 100) -> None:
        self.store: MemoryStore = opened()
        self.now = START
        self.index = Indexer(self.store, GENERATION, lambda: self.now)
        self.sweeper = Sweeper(self.store, nullcontext(), lambda: self.now, limit)

    def parts(self, version: int, key: Key = KEY) -> list[Record]:
        document = Document(key, version, [["One fish."], ["Two fish."], ["Red fish."]], groups=("staff",))
        return document.records(parts=3)

    def sweep(self, days: float = 0.0) -> None:
        """A whole pass, after so many days."""
        self.now += int(days * DAY_US) + DAY_US
        for _ in range(6):
            self.sweeper.step()

    def passages(self, tenant: str = "acme") -> int:
        return self.store.holdings().held(tenant).passages

    def head(self) -> Head | None:
        return self.store.heads([KEY]).get(KEY)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_version_whose_parts_were_lost_goes_after_seven_days_and_says_why(bench: Bench) -> None:
    bench.index(bench.parts(1)[:2])
    bench.sweep()
    bench.sweep(WAITING_DAYS - 2)
    assert bench.passages() == 2
    bench.sweep(1)
    assert bench.passages() == 0
    head = bench.head()
    assert head is not None
    assert head.state is State.ABSENT
    assert head.failure is not None
    assert (head.failure.version, head.failure.reason, head.failure.groups) == (1, "PARTS_MISSING", ("staff",))


def test_the_version_that_is_shown_stays(bench: Bench) -> None:
    bench.index(bench.parts(1))
    bench.index(bench.parts(2)[:1])
    for _ in range(3):
        bench.sweep(WAITING_DAYS)
    assert bench.passages() == 3
    head = bench.head()
    assert head is not None
    assert (head.state, head.version) == (State.LIVE, 1)
    assert head.failure is not None
    assert head.failure.version == 2


def test_a_part_that_arrives_meanwhile_begins_the_time_anew_and_the_last_one_completes_it(bench: Bench) -> None:
    bench.index(bench.parts(1)[:1])
    bench.sweep()
    bench.index(bench.parts(1)[1:2])
    bench.sweep(WAITING_DAYS)
    assert bench.passages() == 2
    bench.index(bench.parts(1)[2:])
    for _ in range(3):
        bench.sweep(WAITING_DAYS)
    head = bench.head()
    assert (bench.passages(), head and head.state) == (3, State.LIVE)


def test_what_a_fault_left_below_a_head_goes_at_once(bench: Bench) -> None:
    bench.index(bench.parts(2))
    late = [each for record in bench.parts(1) for each in passages(Part.read(record).event, GENERATION)]
    bench.store.upsert_passages(late)  # by an owner of the partition that was frozen, and is gone
    assert bench.passages() == 6
    bench.sweep()
    assert bench.passages() == 3


def test_a_look_reads_no_more_than_it_may() -> None:
    small = Bench(limit=1)
    for number in range(3):
        small.index(small.parts(1, Key("acme", "wiki", str(number)))[:1])
    small.now += DAY_US
    for _ in range(4):  # a pass: its begin, and one passage a look
        small.sweeper.step()
    small.now += int((WAITING_DAYS + 1) * DAY_US)
    left = []
    for _ in range(5):  # the first ends the pass
        small.sweeper.step()
        left.append(small.passages())
    assert left == [3, 2, 1, 0, 0]
