"""A tombstone that was forgotten never lets an older version come back, whatever the log and the dead letters still hold.

Seeded histories of one document: puts, deletes and dead letters; records that are read or sent again for as long as their
topic keeps them; days that pass; and the retention's looks in between. A source sends older versions up to 7 days late.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from spanstream.eventlog.log import Record
from spanstream.events.ids import Key, Order
from spanstream.indexer.retention import DAY_US, MARGIN_DAYS
from spanstream.store.points import State
from tests.unit.indexer.documents import Document, deleted
from tests.unit.indexer.test_retention import KEPT_DAYS, Bench, opened

KEY = Key("acme", "wiki", "a")
STEPS = 40


@cache
def upserted(version: int) -> Record:
    return Document(KEY, version, [["One fish."]]).records()[0]


@cache
def gone(version: int) -> Record:
    return deleted(KEY, version)


CONTENT = Document(KEY, 0, [["One fish."]]).content_hash


class History:
    """`told_days`: what the log says of its retention, which is KEPT_DAYS."""

    def __init__(self, seed: int, told_days: float) -> None:
        self.chance = Random(seed)
        self.bench = Bench(opened(), kept_ms=int(told_days * 86_400_000))
        self.retention = self.bench.retention()
        self.log: list[tuple[int, int, bool]] = []  # when it was written, version, delete?
        self.letters: list[tuple[int, int]] = []  # when, version of the upsert that failed
        self.newest: Order | None = None  # of what the index was ever given
        self.newest_at = self.bench.now

    def step(self) -> None:
        newest = self.newest.version if self.newest else 0
        late = self.bench.now - self.newest_at > MARGIN_DAYS * DAY_US
        version = newest + 1 if late else self.chance.randrange(newest + 3)
        match self.chance.choice(("put", "delete", "fail", "redrive", "redrive", "again", "days", "days", "look")):
            case "put":
                self.write(version, delete=False)
            case "delete":
                self.write(version, delete=True)
            case "fail":
                self.letters.append((self.bench.now, version))
            case "redrive":
                if kept := [letter for letter in self.letters if self._kept(letter[0])]:
                    self.write(self.chance.choice(kept)[1], delete=False)
            case "again":
                if kept_records := [each for each in self.log if self._kept(each[0])]:
                    _, version, delete = self.chance.choice(kept_records)
                    self.read(version, delete)
            case "days":
                self.bench.now += int(self.chance.choice((0.1, 3, KEPT_DAYS - 0.1)) * DAY_US)
            case "look":
                self.retention.step()

    @property
    def revived(self) -> bool:
        """It is live, though the newest that the index was given is a delete."""
        return self.newest is not None and self.newest.rank == 1 and self.bench.state(KEY.id) is State.LIVE

    def _kept(self, written: int) -> bool:
        return self.bench.now - written < KEPT_DAYS * DAY_US

    def write(self, version: int, *, delete: bool) -> None:
        self.log.append((self.bench.now, version, delete))
        self.read(version, delete)

    def read(self, version: int, delete: bool) -> None:
        self.bench.index([gone(version) if delete else upserted(version)])
        order = Order.of(version, bytes(32) if delete else CONTENT, delete)
        if self.newest is None or order > self.newest:
            self.newest, self.newest_at = order, self.bench.now


@pytest.mark.promise("I4")
@pytest.mark.parametrize("seed", range(20))
def test_nothing_comes_back(seed: int) -> None:
    history = History(seed, KEPT_DAYS)
    for _ in range(STEPS):
        history.step()
        assert not history.revived


@pytest.mark.parametrize(
    ("told_days", "comes_back"),
    [(KEPT_DAYS, False), (KEPT_DAYS / 2, True)],  # the second: tombstones of one retention and 7 days, instead of two
)
def test_a_dead_letter_of_a_late_event_may_be_replayed_on_its_last_day_and_read_again_on_that_records_last(
    told_days: float, comes_back: bool
) -> None:
    history = History(0, told_days)
    almost = int(0.001 * DAY_US)
    history.write(5, delete=True)
    history.bench.now += int(MARGIN_DAYS * DAY_US) - almost
    failed_at = history.bench.now  # an older version, 7 days late, becomes a dead letter
    history.bench.now = failed_at + KEPT_DAYS * DAY_US - almost
    history.write(3, delete=False)  # which is sent again
    history.bench.now += KEPT_DAYS * DAY_US - almost
    history.retention.step()
    history.read(3, delete=False)  # and read once more
    assert history.revived is comes_back
