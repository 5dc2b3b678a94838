"""Flip bits: `python -m tests.chaos.corruption --flips 10000`. What was shown and is wrong is printed; the exit code is 1.

With `--json FILE` the result is written after every 100, and a run that was cut off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.corruption.attack import SERVED, Surfaces
from tests.chaos.kept import Kept

AT_ONCE = 100


@dataclass
class Result(Kept):
    """What is kept of the attacks before `next`: how many of each place ended how, and what must not be."""

    seed: int
    next: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def attacked(surfaces: Surfaces, result: Result, end: int) -> None:
    """Attacks until so many were made in all."""
    ended = Counter(result.ended)
    for number in range(result.next, end):
        place, how = surfaces.attack(result.seed, number)
        if how.startswith(SERVED):
            result.wrong.append(f"seed {result.seed}, flip {number}, {place}: {how}")
            how = SERVED
        ended[f"{place} {how}"] += 1
    result.next, result.ended = end, dict(sorted(ended.items()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.corruption", description=__doc__)
    parser.add_argument("--flips", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the flips follow from it")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    options = parser.parse_args(arguments)
    result = Result.saved(options.json, seed=options.seed) or Result(options.seed)
    with tempfile.TemporaryDirectory(prefix="spanstream-flips-") as folder:
        surfaces = Surfaces(Path(folder))
        while result.next < options.flips:
            known = len(result.wrong)
            attacked(surfaces, result, min(options.flips, result.next + AT_ONCE))
            print(*result.wrong[known:], sep="\n", end="\n" if result.wrong[known:] else "", flush=True)
            result.save(options.json)
    print(f"seed {result.seed}: {result.next} flips, {result.ended}; {len(result.wrong)} wrong")
    return bool(result.wrong)


if __name__ == "__main__":
    sys.exit(main())
