"""`spanstream encoder diagnose`: what a model's vectors of these texts are like, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, texts

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from spanstream.encoder.encoder import Encoder
    from spanstream.standalone.encoder.diagnosis import Diagnosis, Measure


def diagnose(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            show_default=False,
            help="Text files, folders of them, .jsonl files with text; default: Python's own documentation.",
        ),
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="A model's name or folder.")] = "minilm",
    sample: Annotated[
        int, typer.Option("--sample", metavar="TEXTS", min=20, help="At most so many texts, drawn at random.")
    ] = 1000,
    plot: Annotated[Path, typer.Option("--plot", metavar="FILE", help="Where to write the picture.")] = Path(
        "diagnose.png"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Say how a model's vectors of your texts fill their space, and what else than meaning moves them.

    No judgements are needed. Texts are read without their titles. The picture is written to diagnose.png.
    """
    if not plot.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {plot.parent}", param_hint="--plot")
    with encoding.interruptible():
        drawn = _drawn(paths, sample)
        with encoding.progress(quiet=as_json) as bar, encoding.opened(model, bar, "--model") as encoder:
            name, dimension = encoder.info().release, encoder.info().dimension
            found = _measured(encoder, drawn.texts, bar)
        from spanstream.standalone.encoder.plot import save

        title = f"{name} on {len(drawn.texts)} texts"
        try:
            save(found, title, plot)
        except OSError as error:
            raise typer.BadParameter(f"{plot} cannot be written: {error.strerror}", param_hint="--plot") from error
    if as_json:
        facts = {"model": name, "dimension": dimension, "texts": len(drawn.texts), "of": drawn.of}
        output.write_json(facts | {"measures": [_plain(each) for each in found.measures], "plot": str(plot)})
        return
    out, err = output.consoles()
    out.print(_table(title, found.measures))
    out.print(f"The picture: {plot}", markup=False)
    if drawn.skipped:
        err.print(f"skipped {drawn.skipped} files that are not plain text, Markdown or .jsonl", style="dim")
    if len(drawn.texts) < 2 * dimension:
        few = f"{len(drawn.texts)} texts are few for {dimension} dimensions: isotropy and ranks are lower than of more texts."
        err.print(few, style="yellow")


def _drawn(paths: Sequence[Path] | None, size: int) -> texts.Sample:
    from spanstream.standalone.encoder.diagnosis import MIN_TEXTS

    if paths:
        if missing := [str(path) for path in paths if not path.exists()]:
            raise typer.BadParameter(f"no such file or folder: {', '.join(missing)}", param_hint="PATH")
        try:
            drawn = texts.sample(paths, size)
        except texts.Unreadable as error:
            raise typer.BadParameter(str(error), param_hint="PATH") from error
    else:
        from spanstream.standalone import corpus

        drawn = texts.draw((document.text for document in corpus.documents()), size)
    if len(drawn.texts) < MIN_TEXTS:
        few = f"{len(drawn.texts)} different texts found (plain text, Markdown, .jsonl); {MIN_TEXTS} are needed"
        raise typer.BadParameter(few, param_hint="PATH")
    return drawn


def _measured(encoder: Encoder, drawn: list[str], bar: Progress) -> Diagnosis:
    import numpy as np

    from spanstream.standalone.encoder.diagnosis import PARTS
    from spanstream.standalone.encoder.diagnosis import diagnose as measured
    from spanstream.standalone.encoder.diagnosis import parts as cut

    pieces = {number: found for number, text in enumerate(drawn) if (found := cut(text))}
    whole = encoding.vectors(encoder, drawn, bar, "texts")
    parts = encoding.vectors(encoder, [part for found in pieces.values() for part in found], bar, "their parts")
    lengths = np.array([len(text) for text in drawn])
    return measured(whole, lengths, np.array(list(pieces), np.int64), parts.reshape(len(pieces), PARTS, -1))


def _plain(measure: Measure) -> dict[str, object]:
    return {
        "name": measure.name,
        "value": measure.value,
        "meaning": measure.meaning,
        "usual": measure.usual,
        "unusual": measure.unusual,
    }


def _table(title: str, measures: Sequence[Measure]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=None, title_justify="left")
    table.add_column("measure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it means")
    table.add_column("", no_wrap=True)
    for each in measures:
        table.add_row(each.name, f"{each.value:.3g}", each.meaning, Text(*_remark(each)))
    return table


def _remark(measure: Measure) -> tuple[str, str]:
    if not measure.unusual:
        return "usual", "dim"
    low, high = measure.usual
    return (f"low: usual {low:.3g} on" if measure.value < low else f"high: usual to {high:.3g}"), "yellow"
