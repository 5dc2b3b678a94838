"""What a training leaves: a model's folder, the release file that names it, and what is to be known about it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from spanstream.representations.model import fingerprint
from spanstream.representations.modules import read_modules
from spanstream.representations.training import checkpoint
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.trainer import Trained
from spanstream.standalone.training import curves, spool

MODEL, RELEASE, REPORT, CURVES = "model", "release.yaml", "training.json", "training.png"


def write(trained: Trained, recipe: Recipe, passages: int, folder: Path) -> dict[str, Any]:
    """Write all of it and remove what the training needed; returns the report. Raises OSError."""
    new = folder / f"{MODEL}.new"
    shutil.rmtree(new, ignore_errors=True)
    trained.student.save(new)
    files = fingerprint(read_modules(new).folder)
    report: dict[str, Any] = {
        "release": f"{folder.name}-{files[:8]}",
        "model": f"sha256:{files}",
        "start": f"{trained.student.model.name}@{trained.student.model.fingerprint[:8]}",
        "passages": passages,
        "steps": trained.steps,
        "kept": trained.best,
        "looks": [asdict(look) for look in trained.looks],
        "recipe": asdict(recipe),
    }
    (new / "README.md").write_text(_card(report), encoding="utf-8")
    os.replace(new, folder / MODEL)
    release = {"release": report["release"], "model_name_or_path": MODEL, "revision": report["model"]}
    (folder / RELEASE).write_text(yaml.safe_dump(release, sort_keys=False), encoding="utf-8")
    (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    curves.save(trained.looks, trained.best, report["release"], folder / CURVES)
    for name in (checkpoint.FILE, spool.FILE):
        (folder / name).unlink(missing_ok=True)
    return report


def losses(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of each objective: its name, the held-out loss at the start, and that of what is kept, as they are shown."""
    first, kept = (
        next(look["losses"] for look in report["looks"] if look["step"] == step) for step in (0, report["kept"])
    )
    return [(name, f"{first[name]:.4f}", f"{kept[name]:.4f}") for name in first]


def _card(report: dict[str, Any]) -> str:
    rows = [f"| {name} | {first} | {kept} |" for name, first, kept in losses(report)]
    return "\n".join(
        [
            f"# {report['release']}",
            "",
            f"Trained by `spanstream train` from {report['start']} on {report['passages']} passages, without labels unless"
            f" the recipe says pairs; the weights after step {report['kept']} of {report['steps']}.",
            "",
            "| objective | held-out loss at the start | kept |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Held-out losses say that it learnt, not that it finds better: compare it with `spanstream encoder compare` and"
            " `spanstream eval` before anything is moved to it.",
            "",
        ]
    )
