"""From a plan that fails to its shortest history that still fails in the same way."""

from __future__ import annotations

from tests.chaos.simulation.run import Run, run

MOST_RUNS = 400


def shrink(failed: Run, most_runs: int = MOST_RUNS) -> Run:
    """The simplest run found that shows any of the kinds of violation that `failed` shows; itself, if there is no simpler one."""
    best, tried, left = failed, {failed.plan}, most_runs
    while left:
        for plan in best.plan.simpler():
            if plan in tried or not left:
                continue
            tried.add(plan)
            left -= 1
            shorter = run(plan)
            if shorter.kinds & failed.kinds:
                best = shorter
                break
        else:
            break
    return best


def report(failed: Run) -> str:
    """The plan, what happened step by step, and what is wrong with it."""
    steps = [line for line in failed.story if not line.endswith(": poll")]
    if len(steps) > 200:  # stuck: the end repeats itself
        steps = [*steps[:150], f"       ... {len(steps) - 200} steps ...", *steps[-50:]]
    return "\n".join([str(failed.plan), "", *steps, "", *map(str, failed.violations)])
