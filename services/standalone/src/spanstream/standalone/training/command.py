"""`spanstream train`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder.paths import Paths
from spanstream.standalone.gate.sources import Data, Similarity

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanstream.representations.training.objective import Document
    from spanstream.representations.training.recipe import Recipe
    from spanstream.standalone.encoder.texts import Reader
    from spanstream.standalone.gate.evaluating import Judgement
    from spanstream.standalone.gate.exam import Exam

    Told = Callable[[int, float], None]  # of a step and its loss
    Learner = Callable[[Recipe, Path, Told], None]


def train(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the model and its release file go.")],
    paths: Paths = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="What to learn; default: what words find, without labels."),
    ] = None,
    data: Data = None,
    similarity: Similarity = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="NUMBER",
            min=0,
            help="At most so many; default: the recipe's. 0: the encoder stays, only the matrix behind it learns.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option("--device", metavar="NAME", help="Of torch: cpu, cuda, cuda:1 …; auto: a GPU where there is one."),
    ] = "auto",
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="NUMBER", min=1, help="Processes that share each step, by Ray; say one a GPU."
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Teach an encoder your own documents, without labels: a new release, how the training went, and whether it is better.

    A release that does not pass the evaluation gate is not offered. Stopped by Ctrl-C or killed, the same command goes on from its last checkpoint. Until it ends the folder holds a copy of
    the passages.
    """
    from spanstream.representations.training.recipe import Recipe, read_recipe
    from spanstream.standalone.encoder.encoding import told

    with told():
        wanted = read_recipe(recipe) if recipe else Recipe()
        if steps is not None:
            wanted = replace(wanted, steps=steps)
        try:
            learner = _learner(device, workers)
            with _held(out):
                _train(out, paths or [], wanted, data, similarity, learner, as_json)
        except KeyboardInterrupt:
            typer.echo("\nstopped; the same command goes on from the last checkpoint", err=True)
            raise typer.Exit(130) from None


def _learner(device: str, workers: int) -> Learner:
    """What learns from the passages in a folder and writes there what came out. Raises DeviceUnavailable and
    WorkersUnavailable.
    """
    from spanstream.representations.training.errors import WorkersUnavailable
    from spanstream.representations.training.student import device_of, student
    from spanstream.representations.training.trainer import train as trained_on
    from spanstream.standalone.training import outcome, spool

    if workers > 1:
        try:
            from spanstream.standalone.training import workers as several
        except ImportError as error:
            message = "--workers needs Ray Train: pip install 'spanstream-standalone[train]'"
            raise WorkersUnavailable(message) from error
        return lambda recipe, out, tell: several.learn(recipe, out, device, workers, tell)

    device_of(device)  # refused before anything is read

    def alone(recipe: Recipe, out: Path, tell: Told) -> None:
        trained = trained_on(recipe, student(recipe.start, device), spool.source(out), out, progress=tell)
        outcome.write(trained, recipe, out)

    return alone


def _train(
    out: Path,
    paths: list[str],
    recipe: Recipe,
    data: Path | None,
    similarity: Path | None,
    learner: Learner,
    as_json: bool,
) -> None:
    from spanstream.representations.training import checkpoint
    from spanstream.standalone.encoder.comparison import MIN_ITEMS
    from spanstream.standalone.encoder.encoding import counted, progress
    from spanstream.standalone.encoder.texts import Reader
    from spanstream.standalone.gate import evaluating, pseudo, sources
    from spanstream.standalone.gate.exam import halves
    from spanstream.standalone.training import outcome, spool

    going_on = (out / spool.FILE).exists()
    if (out / outcome.MODEL).exists() and not going_on:
        raise typer.BadParameter(f"{out} holds a trained model already", param_hint="--out")
    if not going_on and (out / checkpoint.FILE).exists():
        raise typer.BadParameter(
            f"{out} holds a checkpoint, but not the passages that it has learnt from", param_hint="--out"
        )
    if going_on and paths and spool.asked(out) not in (None, paths):
        message = f"{out} was begun with other documents: name those or none, or train into another folder"
        raise typer.BadParameter(message, param_hint="PATH")
    recipe.mixed()
    pairs = sources.scored(similarity)
    judged = sources.judged(data) if data else None
    # Of a training that only has to be judged its own recipe counts: another one, or none, may be named now.
    done = outcome.read(out) if going_on and (out / outcome.MODEL).exists() else None
    objectives = done["recipe"]["objectives"] if done else recipe.objectives
    learnt = None
    if "pairs" in objectives:
        if judged is None:
            raise typer.BadParameter("the objective pairs learns from judged queries; name them", param_hint="--data")
        if going_on and not done and not spool.count(out).pairs:
            raise typer.BadParameter(f"{out} was begun without the labels that pairs learns from", param_hint="--out")
        learnt, judged = halves(judged)
    if judged is not None and len(judged.questions) < MIN_ITEMS:
        output.consoles()[1].print(
            f"{len(judged.questions)} queries are left to judge by; of fewer than {MIN_ITEMS} nothing is offered",
            markup=False,
        )
    reader = Reader(paths)
    with progress(quiet=as_json) as bar:
        if going_on:
            output.consoles()[1].print(f"going on in {out}, with the passages that were read before", markup=False)
        else:
            texts = counted(reader.passages(), bar) if paths or judged is None else ()
            spool.write(chain(spool.documents(texts), _judged(recipe, learnt, judged, bool(paths), bar)), out, paths)
        if not (out / outcome.MODEL).exists():
            _learn(recipe, out, learner, bar)
        _project(out, bar)
        whole = spool.by_document(out)
        exam = judged or pseudo.exam(spool.source(out, whole), spool.held_out(whole))
        start = (outcome.read(out) or {})["recipe"]["start"]
        judgement = evaluating.evaluate(start, str(outcome.release(out)), exam, pairs, bar)
    outcome.judge(out, judgement.plain())
    outcome.clear(out)
    _report(judgement, out, reader, as_json)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder for this process alone, made where it is missing, and removed again if nothing came into it before an
    exception.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        _lock(held, folder)
        yield
    except BaseException:
        if new:
            with suppress(OSError):  # it is not empty: the same command goes on with what is there
                folder.rmdir()
        raise
    finally:
        os.close(held)


def _lock(held: int, folder: Path) -> None:
    """Let go of when the process ends, however it ends."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"another training writes to {folder}: let it end, or choose another folder"
        raise typer.BadParameter(message, param_hint="--out") from error


def _judged(recipe: Recipe, learnt: Exam | None, judged: Exam | None, paths: bool, bar: Progress) -> Iterator[Document]:
    """The passages of a judged set: with its questions where these are learnt, without where no other texts are named."""
    from spanstream.standalone.encoder.encoding import opened
    from spanstream.standalone.training import labels

    if learnt is not None:
        with opened(recipe.start, bar) as encoder:
            yield from labels.labelled(encoder, learnt, bar)
    elif judged is not None and not paths:
        yield from labels.plain(judged)


def _learn(recipe: Recipe, out: Path, learner: Learner, bar: Progress) -> None:
    from spanstream.representations.errors import RepresentationError
    from spanstream.representations.training import checkpoint
    from spanstream.representations.training.errors import TrainingFailed
    from spanstream.representations.training.stream import refuse_unsuitable
    from spanstream.standalone.training import spool

    task = bar.add_task(f"loading {recipe.start}", total=recipe.steps)

    def tell(step: int, loss: float) -> None:
        bar.update(task, completed=step, description=f"training, loss {loss:.3f}")

    try:
        refuse_unsuitable(spool.source(out))
        learner(recipe, out, tell)
    except (TrainingFailed, spool.SpoolInvalid):
        raise
    except RepresentationError:
        if not (out / checkpoint.FILE).exists():
            spool.remove(out)  # or the same command, asked with more documents, would go on with these
        raise
    bar.remove_task(task)  # it may have stopped early


def _project(out: Path, bar: Progress) -> None:
    """What is learnt last, by the recipe of the training that is there; done already, or not wanted: nothing."""
    from spanstream.representations.model import named
    from spanstream.representations.training.recipe import Recipe
    from spanstream.standalone.training import outcome, projecting, spool

    report = outcome.read(out) or {}
    settings = Recipe(projection=report["recipe"].get("projection", {"steps": 0})).projected()
    if "projection" in report or not settings.steps:
        return
    model = replace(named(str(out / outcome.MODEL)), dtype="float32")  # the same passages must give the same matrix
    seed, path = report["recipe"]["seed"], out / outcome.PROJECTION
    outcome.project(projecting.project(model, spool.source(out)(), settings, seed, path, bar), out)


def _report(judgement: Judgement, out: Path, reader: Reader, as_json: bool) -> None:
    from spanstream.standalone.gate.report import tell
    from spanstream.standalone.training import outcome

    report = outcome.read(out) or {}
    if as_json:
        told = {
            "gate": judgement.plain(),
            "offered": judgement.passed,
            "folder": str(out),
            "unread": len(reader.unread),
        }
        output.write_json(report | told)
        return
    from rich.table import Table

    console, errors = output.consoles()
    table = Table("objective", box=None)
    for name in ("at the start", f"after {report['kept']} steps"):
        table.add_column(name, justify="right")
    for row in outcome.losses(report):
        table.add_row(*row)
    console.print("Losses on passages that were held out:", markup=False)
    console.print(table)
    projected = report.get("projection", {})
    if projected.get("kept"):
        first, kept = projected["loss"].values()
        console.print(
            f"The matrix behind the model: {first:.4f} at the start, {kept:.4f} after {projected['kept']} steps."
        )
    elif not report["kept"]:
        console.print("Nothing was learnt that held: the model is the one it started from.", style="yellow")
    console.print()
    tell(judgement, console)
    release, picture = outcome.release(out), out / outcome.CURVES
    if judgement.passed:
        console.print(f"\n{report['release']} is offered: {release}, picture {picture}", markup=False, soft_wrap=True)
    else:
        lines = (
            f"\n{report['release']} is not offered. Model and figures stay in {out}, picture {picture}.",
            f"To look at it anyway: ENCODER_MODEL={release}",
            f"To judge it by other data: spanstream encoder evaluate {out} --data FOLDER",
        )
        console.print("\n".join(lines), markup=False, soft_wrap=True)
    reader.tell(errors)
