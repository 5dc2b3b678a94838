"""A diagnosis as a picture of four panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spanstream.standalone.encoder.diagnosis import NEIGHBOURS, PARTS, Diagnosis

_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9822b", "#777777"


def save(diagnosis: Diagnosis, title: str, path: Path) -> None:
    """Write a PNG; raises OSError."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    axes = figure.subplots(2, 2)
    _spectrum(axes[0, 0], diagnosis)
    _occurrences(axes[0, 1], diagnosis)
    _similarities(axes[1, 0], diagnosis)
    _positions(axes[1, 1], diagnosis)
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=120)


def _spectrum(panel: Axes, diagnosis: Diagnosis) -> None:
    total = np.cumsum(diagnosis.spectrum)
    panel.plot(np.arange(1, len(total) + 1), 100 * total, color=_BLUE, linewidth=2)
    for share in (0.5, 0.9):
        axes = int(np.searchsorted(total, share)) + 1
        if axes <= len(total):
            panel.plot([axes, axes], [0, 100 * share], color=_GREY, linewidth=0.8, linestyle="--")
            panel.annotate(f"{100 * share:.0f} % in {axes}", (axes, 100 * share), (6, -12), textcoords="offset points")
    panel.set(title="Variance by principal axes", xlabel="largest axes taken together", ylabel="% of the variance")
    panel.set(xlim=(0, len(total)), ylim=(0, 102))


def _occurrences(panel: Axes, diagnosis: Diagnosis) -> None:
    found = diagnosis.occurrences
    width = int(found.max()) // 50 + 1  # whole numbers in each bar, or they are not comparable
    panel.hist(found, bins=list(range(0, int(found.max()) + width + 1, width)), color=_BLUE)
    panel.axvline(NEIGHBOURS, color=_ORANGE, linewidth=1.5, label=f"mean, {NEIGHBOURS}")
    panel.set_yscale("log")
    panel.set(title="Hubs: how often a text is a neighbour", ylabel="texts (log scale)")
    panel.set(xlabel=f"times among others' {NEIGHBOURS} nearest")
    panel.legend(frameon=False)


def _similarities(panel: Axes, diagnosis: Diagnosis) -> None:
    bins = np.linspace(-0.4, 1, 57)
    for cosines, name, colour in (
        (diagnosis.random, "of different texts", _GREY),
        (diagnosis.neighbouring, "neighbours in one text", _ORANGE),
    ):
        if len(cosines):
            weights = np.full(len(cosines), 100 / len(cosines))
            label = f"{name}, mean {cosines.mean():.2f}"
            panel.hist(np.clip(cosines, -0.4, 1), list(bins), weights=weights, color=colour, alpha=0.65, label=label)
    panel.set(title="Cosines of parts of texts: the less overlap the better", xlabel="cosine", ylabel="% of the pairs")
    panel.margins(y=0.25)  # room for the legend
    panel.legend(frameon=False)


def _positions(panel: Axes, diagnosis: Diagnosis) -> None:
    panel.set(
        title="Where a text's vector looks", xlabel="part of the text", ylabel="cosine of the part with the whole"
    )
    if not len(diagnosis.positions):
        panel.text(0.5, 0.5, "no text is long enough", ha="center", va="center", transform=panel.transAxes)
        return
    low, middle, high = np.percentile(diagnosis.positions, (25, 50, 75), axis=0)
    places = np.arange(PARTS)
    panel.fill_between(places, low, high, color=_BLUE, alpha=0.2, label="half of the texts")
    panel.plot(places, middle, color=_BLUE, marker="o", linewidth=2, label="median")
    panel.set_xticks(places, ["start", *[""] * (PARTS // 2 - 1), "middle", *[""] * (PARTS // 2 - 1), "end"])
    panel.set_ylim(min(0.0, float(low.min())), 1)
    panel.legend(frameon=False)
