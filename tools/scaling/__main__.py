"""Simulates the chart's autoscaling and writes the tables and the pictures of docs/capacity.md: `make capacity` (needs Helm)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spanstream.standalone.planning import calibration
from tools.helm import Chart, find
from tools.scaling import plans, plot
from tools.scaling.scenarios import fixed, scenarios
from tools.scaling.simulation import Run, Scenario, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "capacity.md"
PICTURES = {"capacity-10m.png": "10 M", "capacity-1b.png": "1 B"}
SEED = 1


def rendered() -> dict[str, list[dict[str, object]]]:
    """The profiles that scale. Raises LookupError without Helm."""
    helm = find()
    if helm is None:
        raise LookupError("Helm is missing: tools/install_helm.sh builds it")
    with tempfile.TemporaryDirectory() as folder:
        chart = Chart(helm, Path(folder) / "charts")
        return {profile: chart.render(profile) for profile in ("production", "gpu")}


def table(found: Iterable[tuple[Scenario, Run, Run]]) -> Iterator[str]:
    """A line for each scenario: scaled, beside as many pods as were needed at most, all the time."""
    yield "| load | lag, worst | searchable within, p50 | p99 | caught up after | pods at most | pod-hours | of always |"
    yield "|---|---|---|---|---|---|---|---|"
    for scenario, scaled, still in found:
        worst = {
            name: max(sample.lag_seconds[name] for sample in scaled.samples) for name in scaled.samples[0].lag_seconds
        }
        late = max(worst, key=lambda name: worst[name])
        most = ", ".join(f"{name} {count}" for name, count in peaks(scaled).items())
        hours = sum(scaled.pod_seconds.values()) / 3600
        share = hours * 3600 / sum(still.pod_seconds.values())
        yield (
            f"| {scenario.name} | {late} {duration(worst[late])} | {duration(scaled.freshness(0.5))} |"
            f" {duration(scaled.freshness(0.99))} | {duration(max(0.0, scaled.seconds - scenario.until))} | {most} |"
            f" {hours:,.0f} | {share:.0%} |"
        )


def peaks(found: Run) -> dict[str, int]:
    """The most pods there were of each."""
    return {name: max(sample.pods[name] for sample in found.samples) for name in found.samples[0].pods}


def duration(seconds: float) -> str:
    """For people."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def written(page: str, part: str, lines: Iterable[str]) -> str:
    """The page with these lines between the part's marks."""
    begin, end = (f"<!-- {part}: {mark} -->" for mark in ("begin", "end"))
    head, rest = page.split(begin)
    return f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}"


def main() -> int:
    """Simulate, and write."""
    try:
        profiles = rendered()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    found: list[tuple[Scenario, Run, Run]] = []
    costs = calibration.read().costs
    for scenario in scenarios(profiles, costs):
        scaled = run(scenario, SEED)
        found.append((scenario, scaled, run(fixed(scenario, peaks(scaled)), SEED)))
        print(*list(table(found[-1:]))[2:], sep="\n", flush=True)
    page = written(PAGE.read_text(), "plans", plans.table(costs))
    PAGE.write_text(written(page, "simulation", table(found)))
    by_name: Mapping[str, Run] = {scenario.name: scaled for scenario, scaled, _ in found}
    for file, wanted in PICTURES.items():
        plot.save({name: each for name, each in by_name.items() if name.startswith(wanted)}, DOCS / file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
