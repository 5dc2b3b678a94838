"""Who may switch: of processes that begin, whenever they do, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.switching import ALONE_SECONDS, BEGIN_SECONDS, ENDED, HOLD, Superseded, Switching


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Interrupted:
    """Notes, with something that happens before one of the calls."""

    def __init__(self, memos: Any, at: int, then: Callable[[], None]) -> None:
        self._memos, self._left, self._then = memos, at, then

    def __getattr__(self, name: str) -> Any:
        if self._left == 0:
            self._then()
        self._left -= 1
        return getattr(self._memos, name)


@pytest.fixture
def home() -> MemoryStore:
    home = MemoryStore()
    home.open("old", 4, Compression.NONE)
    return home


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("pause", [0.0, BEGIN_SECONDS - 0.1, BEGIN_SECONDS, 2 * ALONE_SECONDS])
def test_of_two_that_begin_at_once_only_one_goes_on_before_the_other_has_found_out(
    home: MemoryStore, at: int, goes_on: bool, pause: float
) -> None:
    clock = Clock()
    first, second = (Switching(home, clock, clock.sleep) for _ in range(2))
    alone: dict[str, float] = {}

    def reach(name: str, one: Switching) -> None:
        try:
            one.alone()
            alone[name] = clock.now
        except Superseded:
            pass

    def begin_first() -> None:
        first.begin()
        if goes_on:
            reach("first", first)
        clock.sleep(pause)

    second._memos = Interrupted(second._memos, at, begin_first)  # type: ignore[assignment]
    second.begin()
    if at == 3:
        begin_first()
    if not goes_on:
        reach("first", first)
    reach("second", second)
    assert alone
    if len(alone) == 2:
        assert abs(alone["second"] - alone["first"]) >= ALONE_SECONDS
        with pytest.raises(Superseded):
            (first if at < 3 else second).check()


def test_nobody_is_waited_for_who_was_not_there_or_says_that_it_has_ended(home: MemoryStore) -> None:
    clock = Clock()

    def begun() -> tuple[Switching, float]:
        one, before = Switching(home, clock, clock.sleep), clock.now
        one.begin()
        one.alone()
        return one, clock.now - before

    first, waited = begun()
    assert waited == BEGIN_SECONDS
    first.end()
    second, waited = begun()
    assert waited == BEGIN_SECONDS
    home.memos().write(ENDED, {"id": first._id})  # said much later, when another one had begun
    third, waited = begun()
    assert waited == ALONE_SECONDS
    second.end()
    with pytest.raises(Superseded):
        second.check()
    third.check()


def test_one_that_stood_still_in_a_switch_lifts_nobody_elses_hold_and_puts_none_in_its_place(home: MemoryStore) -> None:
    clock = Clock()
    first, second = (Switching(home, clock, clock.sleep) for _ in range(2))
    first.begin()
    with first.writers():
        second.begin()
        with second.writers():
            own = home.memos().read(HOLD)
            assert own is not None
            with pytest.raises(StoreUnavailable), first.searches():
                pytest.fail("nobody may switch now")
            first._let_go()
            assert home.memos().read(HOLD) == own
        assert home.memos().read(HOLD) is None
