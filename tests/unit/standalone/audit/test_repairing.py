from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.eventlog.dead_letters import REPLAY
from spanstream.events.topics import DOCUMENTS
from spanstream.standalone.audit.repairing import send
from tests.fixtures.stepped import World


class Clock:
    """Time passes while someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_records_are_sent_again_byte_for_byte_at_the_rate(tmp_path: Path) -> None:
    world, clock = World(tmp_path), Clock()
    for number in range(30):
        world.put(f"d{number}")
    world.flow()
    for number in range(30):
        world.lose_head(f"d{number}")
    world.compare()
    before = world.log.end_offsets(DOCUMENTS.name)
    assert send(world.log, world.producer, world.found, 20.0, clock=clock, sleep=clock.sleep) == 30
    assert abs(clock.now - 30 / 20) <= 0.1
    records = [record for part in world.log.topics[DOCUMENTS.name] for record in part]  # type: ignore[attr-defined]
    old = {(each.key, each.value) for each in records if each.offset < before[each.partition]}
    new = [each for each in records if each.offset >= before[each.partition]]
    assert {(each.key, each.value) for each in new} == old
    assert all(dict(each.headers)[REPLAY] == b"1" for each in new)


class Ended(Exception):
    pass


def test_who_is_told_how_far_it_is_may_end_it_while_it_waits(tmp_path: Path) -> None:
    world, clock = World(tmp_path), Clock()
    for number in range(3):
        world.put(f"d{number}")
    world.flow()
    for number in range(3):
        world.lose_head(f"d{number}")
    world.compare()

    def tell(what: str, done: int, total: int) -> None:
        assert (what, total) == ("sent again", 3)
        if clock.now > 2:
            raise Ended

    with pytest.raises(Ended):  # one record in a hundred seconds
        send(world.log, world.producer, world.found, 0.01, progress=tell, clock=clock, sleep=clock.sleep)
    assert clock.now < 4


def test_nothing_to_send_asks_nobody(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert send(world.log, world.producer, [], 20.0) == 0
