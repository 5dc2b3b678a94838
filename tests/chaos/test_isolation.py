"""Tenants attacked, in short; the long form is `python -m tests.chaos.isolation`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import structlog

from tests.chaos.isolation.attack import Attack, Round
from tests.chaos.isolation.mutants import MUTANTS, Planted

TENANTS = 6  # the long form has 52
ROUNDS = 5  # one for each kind of caller, about
MOST_ROUNDS = 30  # in which a planted bug must be found; most are in the first


class Attacked:
    """An attack in an event loop that outlives a test."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._attack = self._loop.run_until_complete(self._made(folder))

    async def _made(self, folder: Path) -> Attack:
        made = Attack(folder, TENANTS, seed=1)
        await made.start()
        return made

    def round(self, number: int, size: int, kinds: Collection[str] = ()) -> Round:
        return self._loop.run_until_complete(self._attack.round(number, size, kinds))

    def close(self) -> None:
        self._attack.close()
        self._loop.close()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    made = Attacked(tmp_path_factory.mktemp("tenants"))
    yield made
    made.close()
    structlog.configure(**before)


@pytest.mark.promise("I16")
def test_a_caller_is_told_what_it_is_told_alone(attacked: Attacked) -> None:
    rounds = [attacked.round(number, 60) for number in range(ROUNDS)]
    assert [str(found) for done in rounds for found in done.findings] == []
    assert sum(done.hostile for done in rounds) > 100
    assert len({kind for done in rounds for kind in done.kinds}) >= 18


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_filter_that_is_left_out_is_found(attacked: Attacked, mutant: Planted) -> None:
    first = (MUTANTS.index(mutant) + 1) * MOST_ROUNDS  # the same rounds whichever tests are run
    with mutant.planted():
        assert any(attacked.round(first + more, 12, mutant.kinds).findings for more in range(MOST_ROUNDS))


def test_there_are_enough_planted_bugs() -> None:
    assert len(MUTANTS) >= 20
