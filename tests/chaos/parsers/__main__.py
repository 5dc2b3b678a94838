"""Read mutated files: `python -m tests.chaos.parsers --files 100000`. What is wrong is printed; the exit code is 1.

With `--json FILE` the result is written after every 500 files, and a run that was cut off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.parsing.parser import Parser
from tests.chaos.kept import Kept
from tests.chaos.parsers.attack import attacked

AT_ONCE = 500


@dataclass
class Result(Kept):
    """What is kept of the files before `next`. `worker_bytes`: the most that the process around the sandbox has had."""

    seed: int
    next: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    worker_bytes: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run(result: Result, files: int, path: Path | None) -> None:
    """Files until so many were read in all."""
    limits = Limits()
    parser = Parser(limits)
    try:
        while result.next < files:
            began = time.monotonic()
            done = attacked(parser, result.seed, range(result.next, min(files, result.next + AT_ONCE)), limits)
            for wrong in done.wrong:
                print(wrong, flush=True)
            result.wrong += done.wrong
            result.ended = dict(sorted((Counter(result.ended) + done.ended).items()))
            result.slowest = max(result.slowest, done.slowest)
            result.worker_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            result.next += done.files
            result.seconds += time.monotonic() - began
            result.save(path)
    finally:
        parser.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.parsers", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the files follow from it")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # of the module that makes damaged archives
    result = Result.saved(options.json, seed=options.seed) or Result(options.seed)
    run(result, options.files, options.json)
    totals: Counter[str] = Counter()
    for name, count in result.ended.items():
        totals[name.partition(" ")[2]] += count
    print(
        f"seed {result.seed}: {result.next} files, {dict(totals.most_common())}; slowest {result.slowest:.1f} s, the worker at"
        f" most {result.worker_bytes >> 20} MiB; {len(result.wrong)} wrong; {result.seconds:.0f} s"
    )
    return bool(result.wrong)


if __name__ == "__main__":
    sys.exit(main())
