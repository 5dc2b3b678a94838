"""Attack tenants: `python -m tests.chaos.isolation --queries 100000`. What is found is printed; the exit code is 1.

With `--json FILE` the result is written after every round, and a run that was cut off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tests.chaos.isolation.attack import Attack
from tests.chaos.isolation.tenants import TENANTS
from tests.chaos.kept import Kept

ROUND = 200  # requests of one caller


@dataclass
class Result(Kept):
    """What is kept of the rounds before `next`."""

    seed: int
    next: int = 0
    queries: int = 0
    hostile: int = 0
    compared: int = 0
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


async def run(result: Result, queries: int, path: Path | None, folder: Path) -> None:
    """Rounds until so many queries were asked in all."""
    attack = Attack(folder, TENANTS, result.seed)
    try:
        await attack.start()
        while result.queries < queries:
            began = time.monotonic()
            done = await attack.round(result.next, ROUND)
            for found in done.findings:
                print(found, flush=True)
                result.findings.append(str(found))
            result.queries += done.queries
            result.hostile += done.hostile
            result.compared += done.compared
            for kind, count in done.kinds.items():
                result.kinds[kind] = result.kinds.get(kind, 0) + count
            result.next += 1
            result.seconds += time.monotonic() - began
            result.save(path)
    finally:
        attack.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.isolation", description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000, help="how many, of all tenants together")
    parser.add_argument("--seed", type=int, default=1, help="what is asked follows from it")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    result = Result.saved(options.json, seed=options.seed) or Result(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(result, options.queries, options.json, Path(folder)))
    print(
        f"seed {result.seed}: {result.queries} queries of {TENANTS} tenants, {result.hostile} of them hostile,"
        f" {result.compared} compared with the answer without the others; {len(result.findings)} findings;"
        f" {result.seconds:.0f} s"
    )
    return bool(result.findings)


if __name__ == "__main__":
    sys.exit(main())
