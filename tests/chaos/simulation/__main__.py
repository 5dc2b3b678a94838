"""Run many seeds: `python -m tests.chaos.simulation --seeds 10000`. What failed is shrunk and printed; the exit code is 1.

With `--json FILE` the result is written after every hundred seeds, and a run that was cut off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from rich.progress import track

from tests.chaos.kept import Kept
from tests.chaos.simulation.mutants import MUTANTS
from tests.chaos.simulation.plan import Plan
from tests.chaos.simulation.run import run
from tests.chaos.simulation.shrink import report, shrink

SAVED_EVERY = 100  # seeds
MUTANT_SEEDS = 1000


@dataclass
class Result(Kept):
    """What is kept of the seeds from `first` up to, not including, `next`."""

    first: int
    next: int
    turns: int = 0
    faults: dict[str, int] = field(default_factory=dict)  # kind -> planned
    judged: dict[str, int] = field(default_factory=dict)  # kind -> entries of the histories
    seconds: float = 0.0
    failed: dict[str, list[str]] = field(default_factory=dict)  # seed -> violations, shrunk

    @classmethod
    def read(cls, path: Path | None, first: int, last: int) -> Result:
        """As it was saved, if it began at the same seed and was cut off before `last`; else new."""
        saved = cls.saved(path, first=first)
        return saved if saved and saved.next < last else cls(first, first)


def seeds(result: Result, last: int, path: Path | None) -> None:
    """Run what is left of them."""
    for seed in track(range(result.next, last), "seeds", disable=not sys.stderr.isatty()):
        began = time.process_time()
        done = run(Plan.of(seed))
        result.turns += done.turns
        result.faults = _sum(result.faults, Counter(fault.kind for fault in done.plan.faults))
        result.judged = _sum(result.judged, done.judged)
        if done.violations:
            shortest = shrink(done)
            print(report(shortest), flush=True)
            result.failed[str(seed)] = [str(violation) for violation in shortest.violations]
        result.seconds += time.process_time() - began
        result.next = seed + 1
        if result.next % SAVED_EVERY == 0:
            result.save(path)
    result.save(path)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def mutants(most: int) -> Iterator[str]:
    """The planted bugs that no seed below `most` shows; the others are printed with the first seed that does."""
    for mutant in MUTANTS:
        with mutant.planted():
            found = next((done for seed in range(most) if (done := run(Plan.of(seed))).violations), None)
        print(
            f"{mutant.name}: {f'seed {found.plan.seed}, {found.violations[0]}' if found else 'NOT FOUND'}", flush=True
        )
        if found is None:
            yield mutant.name


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    parser.add_argument("--story", action="store_true", help="tell the first seed's story, whether it fails or not")
    parser.add_argument(
        "--mutants", action="store_true", help=f"look for the planted bugs, within {MUTANT_SEEDS} seeds each"
    )
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.story:
        print(report(run(Plan.of(options.first))))
        return 0
    if options.mutants:
        return bool(list(mutants(MUTANT_SEEDS)))
    last = options.first + options.seeds
    result = Result.read(options.json, options.first, last)
    seeds(result, last, options.json)
    print(
        f"seeds {result.first} to {result.next - 1}: {len(result.failed)} failed;"
        f" {result.turns} turns, {sum(result.faults.values())} faults, {result.seconds:.0f} s of one core"
    )
    return bool(result.failed)


if __name__ == "__main__":
    sys.exit(main())
