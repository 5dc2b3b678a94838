"""What a training leaves: a model's folder, the release file that names it, and what is to be known about it.

The release file has another name until the release has passed the gate, so that nobody starts with it by mistake.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from spanstream.representations.errors import RepresentationError
from spanstream.representations.model import fingerprint
from spanstream.representations.modules import read_modules
from spanstream.representations.training import checkpoint
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.trainer import Trained
from spanstream.standalone.gate import report as gate
from spanstream.standalone.training import curves, spool
from spanstream.store.folder import write_atomically

MODEL, RELEASE, REPORT, CURVES = "model", "release.yaml", "training.json", "training.png"
PROJECTION = "projection.safetensors"
NOT_OFFERED, GATE, CARD = "not-offered.yaml", "gate.json", "README.md"
WORKERS = "workers"  # what Ray writes of a run, until it ends

_KEYS = ("release", "model", "start", "passages", "steps", "kept", "looks", "recipe")  # that all who read it need


class OutcomeInvalid(RepresentationError):
    """A training's folder that is damaged or of another version: train again."""


def write(trained: Trained, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write model and report, and a release that is not offered yet; the model's folder last. Raises OSError."""
    new = folder / f"{MODEL}.new"
    shutil.rmtree(new, ignore_errors=True)
    trained.student.save(new)
    files = fingerprint(read_modules(new).folder)
    start, found = trained.student.model, spool.count(folder)
    report: dict[str, Any] = {
        "release": f"{folder.resolve().name}-{files[:8]}",
        "model": f"sha256:{files}",
        "start": f"{start.name}@{start.fingerprint[:8]}",
        "start_fingerprint": start.fingerprint,
        "passages": found.passages,
        "labels": found.pairs,
        "corpus": f"sha256:{spool.digest(folder)}",
        "mixed": trained.student.mixed,
        "by_document": spool.by_document(folder),
        "steps": trained.steps,
        "kept": trained.best,
        "looks": [asdict(look) for look in trained.looks],
        "recipe": asdict(recipe),
    }
    _write(report, folder)
    curves.save(trained.looks, trained.best, report["release"], folder / CURVES)
    os.replace(new, folder / MODEL)
    return report


def project(told: Mapping[str, Any], folder: Path) -> None:
    """Put behind the model what was learnt last, if that held. Raises OSError and OutcomeInvalid."""
    report = (read(folder) or {}) | {"projection": dict(told)}
    if told["kept"]:
        report["release"] = f"{folder.resolve().name}-{told['version'][:8]}"
    _write(report, folder)


def _write(report: Mapping[str, Any], folder: Path) -> None:
    """The report last: without it in there a training goes on with the projection."""
    release = {"release": report["release"], "model_name_or_path": MODEL, "revision": report["model"]}
    if transforms := report.get("projection", {}).get("transforms"):
        release |= {"transforms": transforms, "transforms_file": PROJECTION}
    write_atomically(folder / NOT_OFFERED, yaml.safe_dump(release, sort_keys=False))
    write_atomically(folder / REPORT, json.dumps(report, indent=2) + "\n")


def read(folder: Path) -> dict[str, Any] | None:
    """What a training wrote in this folder; None where none has. Raises OSError and OutcomeInvalid."""
    path = folder / REPORT
    if not path.is_file():
        return None
    report = parsed(path)
    lacking = [key for key in _KEYS if key not in report]
    if lacking:
        raise OutcomeInvalid(
            f"{path} lacks {', '.join(lacking)}: another version wrote it; train again into another folder"
        )
    return report


def parsed(path: Path) -> dict[str, Any]:
    """What one of these files says. Raises OSError, and OutcomeInvalid where it was cut or changed."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise OutcomeInvalid(f"{path} is damaged: put it back, or train into another folder") from error


def release(folder: Path) -> Path:
    """The release file of a training, offered or not."""
    return folder / (RELEASE if (folder / RELEASE).is_file() else NOT_OFFERED)


def judge(folder: Path, judgement: Mapping[str, Any]) -> None:
    """Keep what the gate said, in the model's card too, and offer the release if it passed. Raises OSError.

    One that was offered keeps its file: somebody may run with it. It is not published any more.
    """
    write_atomically(folder / GATE, json.dumps(judgement, indent=2) + "\n")
    (folder / MODEL / CARD).write_text(_card(read(folder) or {}, judgement), encoding="utf-8")
    if judgement["passed"]:
        os.replace(release(folder), folder / RELEASE)


def clear(folder: Path) -> None:
    """Remove what only the training needed, and what workers left that were killed."""
    (folder / checkpoint.FILE).unlink(missing_ok=True)
    spool.remove(folder)
    shutil.rmtree(folder / WORKERS, ignore_errors=True)


def losses(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of each objective: its name, the held-out loss at the start, and that of what is kept, as they are shown."""
    first, kept = (
        next(look["losses"] for look in report["looks"] if look["step"] == step) for step in (0, report["kept"])
    )
    return [(name, f"{first[name]:.4f}", f"{kept[name]:.4f}") for name in first]


def _projected(report: Mapping[str, Any]) -> list[str]:
    told = report.get("projection", {})
    if not told.get("kept"):
        return []
    return [
        "",
        f"Behind them stands a matrix, `../{PROJECTION}`, learnt from {told['queries']} runs of words of {told['passages']}"
        f" passages; its held-out loss {told['loss']['start']:.4f} -> {told['loss']['kept']:.4f}.",
    ]


def _card(report: Mapping[str, Any], judgement: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {first} | {kept} |" for name, first, kept in losses(report)]
    return "\n".join(
        [
            f"# {report['release']}",
            "",
            f"Trained by `spanstream train` from {report['start']} on {report['passages']} passages and"
            f" {report.get('labels', 0)} judged pairs; the weights after step {report['kept']} of {report['steps']}.",
            *_projected(report),
            "",
            *gate.card(judgement),
            "## Training",
            "",
            "| objective | held-out loss at the start | kept |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Held-out losses say that it learnt, not that it finds better: that is what the gate measures.",
            "",
        ]
    )
