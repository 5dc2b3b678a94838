"""How a training went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spanstream.representations.training.trainer import Look


def save(looks: Sequence[Look], best: int, title: str, path: Path) -> None:
    """The loss of each objective on held-out passages, over the steps; raises OSError."""
    names = sorted(looks[0].losses)
    figure = Figure(figsize=(3.8 * len(names), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        panel.plot([look.step for look in looks], [look.losses[name] for look in looks], color="#2a6fbb", marker=".")
        panel.axvline(best, color="#d9822b", linewidth=1, linestyle="--", label="kept")
        panel.set(title=name, xlabel="steps", ylabel="loss, held out")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    figure.savefig(path, format="png", dpi=120)
