"""`spanstream train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanstream.client import output
from spanstream.standalone.encoder.paths import Paths

if TYPE_CHECKING:
    from spanstream.representations.training.recipe import Recipe
    from spanstream.standalone.encoder.texts import Reader


def train(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the model and its release file go.")],
    paths: Paths = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="What to learn; default: sentences in their passage, no labels."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="NUMBER", min=1, help="At most so many; default: the recipe's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Teach an encoder your own documents, without labels: a new release, and how the training went.

    Stopped by Ctrl-C or killed, the same command goes on from its last checkpoint. Until it ends the folder holds a copy of
    the passages.
    """
    from spanstream.representations.training.recipe import Recipe, read_recipe
    from spanstream.standalone.encoder.encoding import told

    with told():
        wanted = read_recipe(recipe) if recipe else Recipe()
        try:
            _train(out, paths or [], wanted if steps is None else replace(wanted, steps=steps), as_json)
        except KeyboardInterrupt:
            typer.echo("\nstopped; the same command goes on from the last checkpoint", err=True)
            raise typer.Exit(130) from None


def _train(out: Path, paths: list[str], recipe: Recipe, as_json: bool) -> None:
    from spanstream.representations.training.student import student
    from spanstream.representations.training.trainer import train as trained_on
    from spanstream.standalone.encoder.encoding import counted, progress
    from spanstream.standalone.encoder.texts import Reader
    from spanstream.standalone.training import outcome, spool

    if (out / outcome.MODEL).exists():
        raise typer.BadParameter(f"{out} holds a trained model already", param_hint="--out")
    out.mkdir(parents=True, exist_ok=True)
    reader = Reader(paths)
    with progress(quiet=as_json) as bar:
        if (out / spool.FILE).exists():
            output.consoles()[1].print(f"going on in {out}, with the passages that were read before", markup=False)
        else:
            spool.write(counted(reader.passages(), bar), out)
        loading = bar.add_task(f"loading {recipe.start}", total=None)
        learner = student(recipe.start)
        bar.remove_task(loading)
        count = sum(1 for _ in spool.read(out))
        task = bar.add_task("training", total=recipe.steps)

        def tell(step: int, loss: float) -> None:
            bar.update(task, completed=step, description=f"training, loss {loss:.3f}")

        trained = trained_on(recipe, learner, lambda: spool.read(out), out, progress=tell)
    _report(outcome.write(trained, recipe, count, out), out, reader, as_json)


def _report(report: dict[str, Any], out: Path, reader: Reader, as_json: bool) -> None:
    from spanstream.standalone.training.outcome import CURVES, RELEASE, losses

    if as_json:
        output.write_json({**report, "folder": str(out), "unread": len(reader.unread)})
        return
    from rich.table import Table

    console, errors = output.consoles()
    table = Table("objective", box=None)
    for name in ("at the start", f"after {report['kept']} steps"):
        table.add_column(name, justify="right")
    for row in losses(report):
        table.add_row(*row)
    console.print("Losses on passages that were held out:", markup=False)
    console.print(table)
    if not report["kept"]:
        console.print("Nothing was learnt that held: the model is the one it started from.", style="yellow")
    console.print(f"\n{report['release']}: {out / RELEASE}, picture {out / CURVES}", markup=False, soft_wrap=True)
    console.print(f"Compare it: spanstream encoder compare minilm {out / RELEASE}", markup=False, soft_wrap=True)
    reader.tell(errors)
