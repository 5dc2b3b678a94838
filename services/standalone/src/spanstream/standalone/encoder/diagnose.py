"""`spanstream encoder diagnose`: what a model's vectors of these texts are like, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.paths import Paths

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from spanstream.encoder.encoder import Encoder
    from spanstream.standalone.encoder.diagnosis import Diagnosis, Measure
    from spanstream.standalone.encoder.texts import Reader


def diagnose(
    paths: Paths = None,
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
    if not plot.parent.is_dir() or (plot.exists() and not plot.is_file()):
        raise typer.BadParameter(f"{plot} is no file in a folder that exists", param_hint="--plot")
    with encoding.told():
        from spanstream.standalone.encoder.plot import save
        from spanstream.standalone.encoder.texts import Reader

        reader = Reader(paths or [])
        with encoding.progress(quiet=as_json) as bar:
            texts, total = _drawn(reader, sample, bar)
            with encoding.opened(model, bar) as encoder:
                name, dimension = encoder.info().release, encoder.info().dimension
                found = _measured(encoder, texts, bar)
        title = f"{name} on {len(texts)} texts"
        save(found, title, plot)
    if as_json:
        facts = {"model": name, "dimension": dimension, "texts": len(texts), "of": total}
        output.write_json(facts | {"measures": [_plain(each) for each in found.measures], "plot": str(plot)})
        return
    out, err = output.consoles()
    out.print(_table(title, found.measures))
    out.print(f"The picture: {plot}", markup=False)
    reader.tell(err)
    if len(texts) < 2 * dimension:
        few = f"{len(texts)} texts are few for {dimension} dimensions: isotropy and ranks are lower than of more texts."
        err.print(few, style="yellow")


def _drawn(reader: Reader, size: int, bar: Progress) -> tuple[list[str], int]:
    """At most `size` texts, all different and none blank, and of how many."""
    from spanstream.standalone.encoder.diagnosis import MIN_TEXTS
    from spanstream.standalone.encoder.texts import draw

    texts = (text for piece in reader.documents() if (text := piece.text or piece.title).strip())
    drawn, total = draw(encoding.counted(texts, bar), size)
    unique = list(dict.fromkeys(drawn))
    if len(unique) < MIN_TEXTS:
        reader.tell(output.consoles()[1])
        raise typer.BadParameter(f"{len(unique)} different texts found; {MIN_TEXTS} are needed", param_hint="PATH")
    return unique, total


def _measured(encoder: Encoder, drawn: list[str], bar: Progress) -> Diagnosis:
    import numpy as np

    from spanstream.standalone.encoder.diagnosis import PARTS
    from spanstream.standalone.encoder.diagnosis import diagnose as measured
    from spanstream.standalone.encoder.diagnosis import parts as cut

    pieces = {number: found for number, text in enumerate(drawn) if (found := cut(text))}
    whole = encoding.vectors(encoder, drawn, bar, "texts")
    parts = encoding.vectors(encoder, [part for found in pieces.values() for part in found], bar, "their parts")
    lengths = np.array([len(text) for text in drawn])
    return measured(whole, lengths, np.array(list(pieces), np.int64), parts.reshape(len(pieces), PARTS, parts.shape[1]))


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
