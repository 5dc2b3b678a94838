"""A run as a picture: lag of each stage above, pods below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tools.scaling.simulation import Run, Sample

COLOURS = {"ingestor-worker": "#2a6fbb", "embedder": "#d9822b", "indexer": "#5a9a5a", "encoder": "#8a6bb0"}
POINTS = 1500  # along a picture; of those that fall together the worst is shown


def save(runs: dict[str, Run], path: Path) -> None:
    """Write a PNG with a column for each run; raises OSError."""
    figure = Figure(figsize=(5.2 * len(runs), 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(runs), squeeze=False, sharex="col")
    for column, (name, run) in enumerate(runs.items()):
        samples = _thinned(run.samples)
        hours = [sample.time / 3600 for sample in samples]
        lag, pods = panels[0][column], panels[1][column]
        for stage in samples[0].lag_seconds:
            lag.plot(
                hours, [sample.lag_seconds[stage] for sample in samples], color=COLOURS[stage], label=stage, lw=0.9
            )
        for each in samples[0].pods:
            pods.step(hours, [sample.pods[each] for sample in samples], color=COLOURS[each], label=each, lw=0.9)
        lag.set(title=name, yscale="symlog", ylim=(0, None))
        pods.set(xlabel="hours", ylim=(0, None))
        _plain(lag, pods)
    panels[0][0].set_ylabel("lag, seconds")
    panels[1][0].set_ylabel("pods")
    panels[1][0].legend(frameon=False, fontsize="small", loc="upper right")
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def _plain(*panels: Axes) -> None:
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#dddddd", lw=0.5)


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    step = max(1, len(samples) // POINTS)
    groups = (samples[start : start + step] for start in range(0, len(samples), step))
    return [max(group, key=lambda sample: max(sample.lag_seconds.values())) for group in groups]
