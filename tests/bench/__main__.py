"""`python -m tests.bench [--short] [--only NAME ...] [--out FILE]`: measure, print, write JSON and a plot."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench import facts, growth, suite
from tests.bench.result import Result

MARKS = {True: "yes", False: "NO", None: ""}


def main() -> int:
    """Exit status 0 if all guards held; targets missed are only shown, because machines differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="tiny sizes: to see that it runs, not what it says")
    parser.add_argument("--only", nargs="+", choices=suite.NAMES, default=suite.NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("bench-results", time.strftime("%Y%m%dT%H%M%S.json")))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that the product is stopped
    begun = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    machine = facts.machine()
    print(json.dumps(machine, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Result] = {}
    for name, result in suite.run(arguments.only, short=arguments.short, say=say):
        results[name] = result
        print(table({name: result}), flush=True)
        whole = {"machine": machine, "short": arguments.short, "results": results}
        arguments.out.write_text(json.dumps(whole, indent=1))
    print(arguments.out)
    if "growth" in results:
        picture = arguments.out.with_suffix(".png")
        growth.plot(results["growth"], picture)
        print(picture)
    return 0 if all(held for result in results.values() for held in result["guards"].values()) else 1


def table(results: Mapping[str, Result]) -> str:
    """Rows, then the guards that did not hold."""
    rows = [row for result in results.values() for row in result["rows"]]
    lines = [f"{r['what']:<58} {r['value']:>28}  {r['target']:<8} {MARKS[r['met']]}".rstrip() for r in rows]
    for name, result in results.items():
        lines += [f"GUARD BROKEN, {name}: {guard}" for guard, held in result["guards"].items() if not held]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
