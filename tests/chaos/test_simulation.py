"""The pipeline keeps its promises under seeded faults; and whoever breaks one is found out."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.chaos.simulation.mutants import MUTANTS, Mutant
from tests.chaos.simulation.plan import Plan
from tests.chaos.simulation.run import run
from tests.chaos.simulation.shrink import report, shrink

SEEDS = 300
MOST_SEEDS = 300  # within which each planted bug is found; most are within ten


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """What the product logs of so many faults is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("start", range(0, SEEDS, 50))
def test_every_promise_is_kept(start: int) -> None:
    for seed in range(start, start + 50):
        done = run(Plan.of(seed))
        assert not done.violations, "\n" + report(shrink(done))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with mutant.planted():
        assert any(run(Plan.of(seed)).violations for seed in range(mutant.first, mutant.first + MOST_SEEDS))
