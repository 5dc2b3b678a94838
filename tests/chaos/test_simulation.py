"""The pipeline keeps its promises under seeded faults; and whoever breaks one is found out.

The short form. `python -m tests.chaos.simulation` is the long one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from spanstream.ingestor.blobs import Blobs
from tests.chaos.simulation.__main__ import Result, main
from tests.chaos.simulation.mutants import MUTANTS, Mutant, always
from tests.chaos.simulation.plan import Action, Plan
from tests.chaos.simulation.run import run
from tests.chaos.simulation.scheduler import Fault
from tests.chaos.simulation.shrink import report, shrink

SEEDS = 300
PART = 50
MOST_SEEDS = 300  # within which each planted bug is found; most are within ten

FEED, OTHER, POISON = 0, 2, 5  # a key, and contents: of five passages, and one that the encoder cannot read


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """What the product logs of so many faults is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def plan(*actions: Action, faults: tuple[Fault, ...] = (), records: int = 8, workers: int = 1) -> Plan:
    return Plan(1, actions, faults, 0.0, records, workers)


def put(version: int, content: int = 0, gap: int | None = 0) -> Action:
    return Action("produce", 0, gap, FEED, version, content)


def kept(plan: Plan) -> None:
    """No promise is broken."""
    done = run(plan)
    assert not done.violations, "\n" + report(shrink(done))


@pytest.mark.parametrize("start", range(0, SEEDS, PART))
@pytest.mark.promise("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I19", "I26", "I30")
def test_every_promise_is_kept(start: int) -> None:
    for seed in range(start, start + PART):
        kept(Plan.of(seed))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with mutant.planted():
        assert any(run(Plan.of(seed)).violations for seed in range(MOST_SEEDS))


def test_there_are_enough_planted_bugs() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


# --- What it has found, shrunk ---


@pytest.mark.parametrize("stage", ["ingestor", "embedder", "indexer"])
def test_a_group_does_not_lag_for_ever_behind_a_commit_that_failed(stage: str) -> None:
    kept(plan(put(1), faults=(Fault("lost", f"{stage}: commit", 1),)))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_head_that_alone_survives_a_power_cut_gets_its_passages_back(share: float) -> None:
    kept(plan(put(1, OTHER), faults=(Fault("power", "indexer: flush", 1, 5, (1.0, share)),)))


def test_a_failure_noted_while_the_head_flips_is_told() -> None:
    freeze = Fault("freeze", "indexer: write documents", 2, 10)
    kept(plan(put(1), put(2, 1, gap=6), put(4, POISON, gap=6), faults=(freeze,), records=1, workers=2))


def test_a_failure_noted_late_does_not_hide_a_newer_one() -> None:
    freeze = Fault("freeze", "indexer: write documents", 2, 13)
    kept(plan(put(1, POISON), put(2, POISON), faults=(freeze,), records=1, workers=2))


def test_a_part_that_comes_after_the_delete_leaves_nothing_behind() -> None:
    freeze = Fault("freeze", "indexer: write passages", 3, 13)
    kept(plan(put(1, OTHER, gap=14), Action("remove", 0, 0, FEED, 2), faults=(freeze,), records=1, workers=2))


def test_passages_that_are_written_after_the_delete_and_lack_others_leave_nothing_behind() -> None:
    actions = (Action("put", 0, None, 3, None, OTHER), Action("delete", 0, 0, 3))
    faults = (Fault("freeze", "indexer: write passages", 4, 32), Fault("freeze", "ingestor: publish", 3, 90))
    kept(plan(*actions, faults=faults, workers=2))


def test_a_blob_store_without_its_volume_is_waited_for() -> None:
    unmounted = plan(Action("put", 0, 0, FEED, 1, OTHER), faults=(Fault("empty", "ingestor: blob", 1),))
    kept(unmounted)
    with Mutant("a blob that is not found is missing", ((Blobs, "_check", always(None)),)).planted():
        assert "refused" in run(unmounted).kinds


# --- The simulation itself ---


def test_a_seed_always_takes_the_same_course() -> None:
    for seed in (3, 7, 11):
        assert run(Plan.of(seed)) == run(Plan.of(seed))
        assert run(Plan.of(seed)).story == run(Plan.of(seed)).story


def test_a_failure_is_shrunk_to_what_it_takes() -> None:
    """Of a busy run under a planted bug there remain the put and the late one, and nothing else."""
    [mutant] = [each for each in MUTANTS if each.name == "the last of many passages is not written"]
    noise = [Action("search", 1, 3, content=0), Action("put", 1, 5, 2, None, 1), Action("status", 0, 2, FEED, 1)]
    faults = (Fault("lost", "embedder: commit", 1), Fault("pause", "indexer: flush", 1, 9))
    with mutant.planted():
        failed = run(plan(*noise, put(3, OTHER, gap=9), put(1, 1), faults=faults, workers=2))
        shortest = shrink(failed)
    assert shortest.kinds & failed.kinds
    assert (shortest.plan.actions, shortest.plan.faults, shortest.plan.workers) == ((put(3, OTHER),), (), 1)
    told = report(shortest)
    assert "client 0 produces acme/feed/a version 3 content 2, after 0 turns" in told
    assert "indexer 0    indexer: write passages" in told
    assert "half: acme/feed/a: version 3" in told


def test_the_long_form_goes_on_where_it_was_and_tells_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    assert main(["--seeds", "2", "--json", str(file)]) == 0
    assert main(["--seeds", "3", "--json", str(file)]) == 0
    assert (Result.read(file, 0, 4).next, Result.read(file, 0, 4).failed) == (3, {})
    assert Result.read(file, 0, 3).next == 0  # it was finished
    assert "seeds 0 to 2: 0 failed" in capsys.readouterr().out
    [mutant] = [each for each in MUTANTS if each.name == "dead letters are dropped"]
    with mutant.planted():
        assert main(["--seeds", "30", "--json", str(file)]) == 1
    assert "lost: " in capsys.readouterr().out
