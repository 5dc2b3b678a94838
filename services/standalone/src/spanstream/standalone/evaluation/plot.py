"""An evaluation as a picture: a group of bars per set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spanstream.representations.bootstrap import interval
from spanstream.standalone.evaluation.measuring import MAIN, Scores

_COLOURS = ("#2a6fbb", "#d9822b", "#5a9a5a", "#8a6bb0")


def save(found: Mapping[str, Mapping[str, Scores]], path: Path) -> None:
    """Write a PNG of MAIN by set and mode, with 95 % intervals over queries; raises OSError."""
    modes = list(next(iter(found.values())))
    figure = Figure(figsize=(max(6.0, 2.2 * len(found)), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    width = 0.8 / len(modes)
    for number, mode in enumerate(modes):
        values = [interval(scores[mode][MAIN]) for scores in found.values()]
        places = np.arange(len(found)) + (number - (len(modes) - 1) / 2) * width
        ends = np.array([[each.value - each.low, each.high - each.value] for each in values]).T
        heights = [each.value for each in values]
        panel.bar(places, heights, width * 0.92, label=mode, color=_COLOURS[number % len(_COLOURS)])
        panel.errorbar(places, heights, ends, fmt="none", ecolor="#444444", elinewidth=1, capsize=2)
    panel.set_xticks(np.arange(len(found)), list(found))
    panel.set(ylabel=f"{MAIN} × 100", ylim=(0, 100), title=f"{MAIN} by set and mode, with 95 % intervals over queries")
    panel.legend(frameon=False, ncols=len(modes))
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=120)
