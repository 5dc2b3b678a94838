"""Writes docs/reliability-report.md: each promise, what attacks it, and what that gave; --check: is the page stale?

Attacks are the tests that say so (`@pytest.mark.promise("I1", …)`) and the long runs whose results are in tests/chaos/results,
as their commands write them. `--take FOLDER` takes newer ones from there (`make chaos` leaves them in bench-results). A promise
without either is said to have no proof.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reliability-report.md"
RESULTS = ROOT / "tests/chaos/results"

PROMISES = {
    "I1": "No accepted document is lost",
    "I2": "Nothing is shown that nobody sent",
    "I3": "The highest order wins, whatever arrives when and how often",
    "I4": "Deletes stay deleted",
    "I5": "No passage is doubled or missing",
    "I6": "Stale passages go",
    "I7": "Never half a document, never two versions",
    "I8": "After `searchable` every search sees that version, or a newer one",
    "I9": "Offsets never outrun effects",
    "I10": "Everything may happen twice",
    "I11": "A replay gives what a rebuild gives",
    "I12": "Dead letters are re-driven safely, in any order, repeatedly",
    "I13": "Poison never holds up a partition, even if it kills the worker",
    "I14": "An outage is not poison",
    "I15": "Overload is shed",
    "I16": "Tenants are apart",
    "I17": "Authorisation fails closed",
    "I18": "Corruption is found and never served",
    "I19": "Clocks order only the versions of the time of acceptance",
    "I20": "A full disk loses nothing, and room heals it",
    "I21": "A rolling restart is invisible",
    "I22": "Old and new messages mix",
    "I23": "The switch to another generation is atomic and reversible",
    "I24": "A restore works",
    "I25": "The audit log is complete",
    "I26": "Status, lag and counts of failures are true",
    "I27": "Parsers are contained",
    "I28": "Erasure reaches every copy",
    "I29": "No content in logs, traces, metrics, errors",
    "I30": "One effective writer for each key",
}
PIPELINE = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I9", "I10", "I30")  # what the checker of histories judges


@dataclass(frozen=True)
class Run:
    """A long run: which promises it attacks, its command, and how its result is told."""

    promises: tuple[str, ...]
    command: str
    told: Callable[[dict[str, Any]], tuple[str, str, str]]  # (faults survived, figure, seeds)


def _simulated(result: dict[str, Any]) -> tuple[str, str, str]:
    figure = f"{result['next'] - result['first']:,} simulated histories, {len(result['failed'])} broken; judged: "
    figure += ", ".join(f"{count:,} {name}" for name, count in result["judged"].items())
    survived = ", ".join(f"{count:,} × {name}" for name, count in result["faults"].items())
    return survived, figure, f"{result['first']}–{result['next'] - 1}"


def _faults(result: dict[str, Any]) -> tuple[str, str, str]:
    survived = ", ".join(f"{count} × {name}" for name, count in sorted(result["faults"].items()))
    figure = f"{result['accepted']:,} events accepted, {result['refused']:,} refused with Retry-After, "
    figure += f"{len(result['failed'])} of {result['next'] - result['first']} runs broken"
    return survived, figure, f"{result['first']}–{result['next'] - 1}"


def _recovery(result: dict[str, Any]) -> tuple[str, str, str]:
    times = "; ".join(
        f"{name} back at its full rate after {statistics.median(seconds):.1f} s (median of {len(seconds)}, longest {max(seconds):.1f} s)"
        for name, seconds in result["seconds"].items()
    )
    kills = sum(len(seconds) for seconds in result["seconds"].values())
    broken = f"{len(result['violations'])} of {result['accepted']:,} events lost or doubled"
    return f"{kills} × kill -9", f"{times}; {broken}", str(result["seed"])


def _rehearsed(result: dict[str, Any]) -> tuple[str, str, str]:
    survived = f"{sum(result['upgraded'].values())} × pod upgraded, {sum(result['evicted'].values())} × pod evicted"
    figure = "; ".join(
        f"{count:,} {kind} answered, {result['failed'][kind]} failed" for kind, count in result["answered"].items()
    )
    lost = f"{len(result['violations'])} of {result['documents']:,} documents lost, doubled or stale"
    return survived, f"profile {result['profile']}, {result['seconds']:.0f} s of load: {figure}; {lost}", ""


def _full_disk(result: dict[str, Any]) -> tuple[str, str, str]:
    rounds = sum(len(seconds) for seconds in result["resumed_after"].values())
    refused, resumed = (
        max((each for seconds in result[name].values() for each in seconds), default=0.0)
        for name in ("refused_after", "resumed_after")
    )
    figure = f"{result['accepted']:,} events accepted, {result['refused']:,} refused, {len(result['violations'])} lost or doubled; "
    figure += f"the first refused after at most {refused:.1f} s, accepted again after at most {resumed:.1f} s"
    return f"{rounds} × a full disk ({', '.join(result['resumed_after'])})", figure, str(result["seed"])


def _corruption(result: dict[str, Any]) -> tuple[str, str, str]:
    ended = ", ".join(f"{name}: {count:,}" for name, count in result["ended"].items())
    return f"{result['next']:,} × 1 to 64 bits", f"{len(result['wrong'])} shown ({ended})", str(result["seed"])


def _isolation(result: dict[str, Any]) -> tuple[str, str, str]:
    figure = (
        f"{result['queries']:,} queries, {result['compared']:,} compared with the answer without the other tenants, "
    )
    figure += f"{len(result['findings'])} leaks"
    return f"{result['hostile']:,} hostile queries of {len(result['kinds'])} kinds", figure, str(result["seed"])


def _parsers(result: dict[str, Any]) -> tuple[str, str, str]:
    read = sum(count for name, count in result["ended"].items() if name.endswith(" read"))
    figure = f"{read:,} became text, {result['next'] - read:,} were refused with a reason, {len(result['wrong'])} anything else; "
    figure += f"slowest {result['slowest']:.1f} s, the worker around them at most {result['worker_bytes'] >> 20} MiB"
    return f"{result['next']:,} mutated files", figure, str(result["seed"])


def _repeated(result: dict[str, Any]) -> tuple[str, str, str]:
    return "", f"{result['next']:,} histories read again from anywhere, the same digests", f"0–{result['next'] - 1}"


def _redriven(result: dict[str, Any]) -> tuple[str, str, str]:
    return (
        "",
        f"{result['next']:,} histories of about 20 replays each, 0 documents went back",
        f"0–{result['next'] - 1}",
    )


def _restored(result: dict[str, Any]) -> tuple[str, str, str]:
    figure = f"{result['passages']:,} passages: backup {result['backup']:.0f} s, restored and caught up {result['restored']:.0f} s, "
    return "2 × the index lost", figure + f"built from the log alone {result['rebuilt']:.0f} s; equal digests", ""


def _migrated(result: dict[str, Any]) -> tuple[str, str, str]:
    figure = f"{result['queries']:,} searches and {result['writes']:,} writes meanwhile, 0 mixed, stale or failed"
    return f"{result['switches']} × another generation live", figure, ""


def _moved(result: dict[str, Any]) -> tuple[str, str, str]:
    survived = (
        f"{result['switches']} × another generation live, {sum(result['replaced'].values())} × pod replaced or removed"
    )
    figure = "; ".join(
        f"{count:,} {kind} answered, {result['failed'][kind]} failed" for kind, count in result["answered"].items()
    )
    figure += (
        f"; {len(result['wrong'])} of {result['compared']:,} compared searches stale, {len(result['violations'])} of"
    )
    figure += f" {result['documents']:,} documents lost, doubled or stale; "
    figure += ", ".join(f"{what} in {seconds:.0f} s" for what, seconds in result["seconds"].items())
    return survived, f"profile {result['profile']}, {figure}", ""


def _overload(result: dict[str, Any]) -> tuple[str, str, str]:
    rows = "; ".join(
        f"{row['load']:g} × capacity: goodput {100 * row['goodput']:.0f} %, quiet tenants' p95 {row['quiet_p95_ms']} ms"
        f" ({row.get('quiet_p95_ratio', 0.0):.2f} × alone), {row['quiet_refused']} of theirs refused, {row['rss_mib']} MiB"
        for row in result["rows"]
    )
    return f"a noisy tenant beside 19, {result['seconds']:.0f} s each", rows, str(result["seed"])


RUNS = {
    "simulation": Run((*PIPELINE, "I8", "I19", "I26"), "python -m tests.chaos.simulation --seeds 50000", _simulated),
    "faults": Run((*PIPELINE, "I14", "I19", "I26"), "python -m tests.chaos.faults --minutes 60", _faults),
    "full_disk": Run(("I1", "I20"), "python -m tests.chaos.full_disk --rounds 10", _full_disk),
    "corruption": Run(("I18",), "python -m tests.chaos.corruption --flips 10000", _corruption),
    "recovery": Run(("I1", "I5"), "python -m tests.chaos.recovery --kills 5", _recovery),
    "isolation": Run(("I16",), "python -m tests.chaos.isolation --queries 100000", _isolation),
    "parsers": Run(("I27",), "python -m tests.chaos.parsers --files 100000", _parsers),
    "repeated": Run(("I10", "I11"), "pytest tests/chaos/test_repeated.py --long -s", _repeated),
    "redrive": Run(("I12",), "pytest tests/integration/test_redrive.py --long -s", _redriven),
    "restore": Run(("I11", "I24"), "pytest tests/integration/test_restore.py --long -s", _restored),
    "overload": Run(("I15",), "python -m tests.bench.overload", _overload),
    "migration": Run(("I23",), "pytest tests/integration/test_migration.py --long -s", _migrated),
    "moving": Run(("I23",), "pytest tests/integration/test_moving.py --long -s", _migrated),
    "rehearsal": Run(("I21",), "make rehearse", _rehearsed),
    "rehearsal_production": Run(("I21",), "make rehearse", _rehearsed),
    "rehearsal_migration": Run(("I23",), "make rehearse", _moved),
}


def marked(name: str) -> Iterator[tuple[str, list[Any]]]:
    """Each test with this mark, as `path::name`, and the mark's arguments. Read, not imported."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for call in node.decorator_list:
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{name}":
                        yield f"{path.relative_to(ROOT)}::{node.name}", [ast.literal_eval(one) for one in call.args]


def page(results: Path = RESULTS) -> str:
    """The page as it should be."""
    attacks: dict[str, list[str]] = defaultdict(list)
    for test, names in marked("promise"):
        for name in names:
            assert name in PROMISES, f"{test}: there is no promise {name}"
            attacks[name].append(test)
    kept = {name: found for name in RUNS if (found := _result(results, name))}
    told = {name: RUNS[name].told(found) for name, found in kept.items()}
    lines = [*_HEAD, "| promise | attacked by tests | long runs, as they ended last |", "|---|---|---|"]
    for name, words in PROMISES.items():
        runs = [
            f"[{run}](#{run}): {told[run][1].partition('; ')[0]}"
            for run in RUNS
            if run in told and name in RUNS[run].promises
        ]
        tests = [_shown(test) for test in sorted(attacks[name])]
        lines.append(f"| **{name}** {words} | {'<br>'.join(tests) or _NONE} | {'<br>'.join(runs)} |")
    lines += ["", *_LONG, "| run | command | faults survived | figure | seeds | ran |", "|---|---|---|---|---|---|"]
    for name, run in RUNS.items():
        survived, figure, seeds = told.get(name, ("", "**no result kept yet**", ""))
        lines.append(
            f'| <a id="{name}"></a>{name} | `{run.command}` | {survived} | {figure} | {seeds} | {_ran(kept.get(name, {}))} |'
        )
    lines += ["", *_FINDINGS, "| finding | verdict | test |", "|---|---|---|"]
    lines += [f"| {finding} | {verdict} | {_shown(test)} |" for test, (finding, verdict) in marked("finding")]
    return "\n".join(lines) + "\n"


_NONE = "**no proof yet**"
_HEAD = [
    "# Reliability report",
    "",
    "Written by `python tools/reliability_report.py`; changes are lost. Each promise, what attacks it, and what came of it. The tests run with",
    "`make test` and `make chaos` (`pytest PATH::NAME` for one), each long run with its command; its seeds are printed. What the",
    "simulation is and how a failure is read: [reliability.md](reliability.md).",
    "",
]
_LONG = [
    "## Long runs",
    "",
    "Simulated faults: *crash*, *power* (the index's machine loses what was not flushed), *pause*, *freeze* (a pause in which the group gives its partitions to",
    "others), *rebalance*, *lost* and *unheard* (a call fails before, or after, it had its effect); of the encoder *failed*, *nan*, *narrow*, *few*. Corruption: what",
    "was flipped (a kept *file*, *index*, *log*, *model*) and how it ended: *refused* by name, *less* found, or the *same*, where nothing reads that bit.",
    "*Ran*: commit, last day, machine; a line for each where a run went on by another. Empty: a result of before these were noted.",
    "",
]
_FINDINGS = [
    "## What our rules for clients and store assume",
    "",
    "Findings about the pinned versions of kafka-python and Qdrant, each held by a test: a raise of a pin that changes one fails there.",
    "",
]


def _ran(result: Mapping[str, Any]) -> str:
    """By which commit, when it ended there, and on what."""
    return "<br>".join(
        ", ".join(filter(None, (each["commit"], each["day"], f"{each['cores']} cores", each["cpu"])))
        for each in result.get("ran", ())
    )


def _shown(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{name.removeprefix('test_').replace('_', ' ')} ([{Path(path).stem.removeprefix('test_')}](../{path}))"


def _result(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(prog="python tools/reliability_report.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is stale")
    parser.add_argument("--take", type=Path, metavar="FOLDER", help="take results from there first")
    options = parser.parse_args()
    if options.take:
        RESULTS.mkdir(exist_ok=True)
        for name in RUNS:
            if (options.take / f"{name}.json").exists():
                shutil.copyfile(options.take / f"{name}.json", RESULTS / f"{name}.json")
    text = page()
    if options.check:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
