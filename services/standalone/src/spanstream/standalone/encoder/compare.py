"""`spanstream encoder compare`: two models on one set of judgements, and whether a difference is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, judgements

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress
    from rich.table import Table

    from spanstream.standalone.encoder.comparison import Row


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model's name or folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="Judgements: corpus.jsonl, queries.jsonl and qrels.tsv as in BEIR, or pairs.tsv with a header, then a score and two texts a line.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Compare two models on judged queries or scored pairs, and say whether a difference is shown.

    Queries find documents by exact search over whole-text vectors. The interval is a paired bootstrap of 10,000 resamples.
    """
    try:
        judged = judgements.read(data)
    except (judgements.Unreadable, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--data") from error
    from spanstream.standalone.encoder import comparison

    with encoding.told(), encoding.progress(quiet=as_json) as bar:
        if isinstance(judged, judgements.Pairs):
            one, other = (_cosines(model, judged, bar, side) for model, side in ((a, "A"), (b, "B")))
            bar.add_task("resampling", total=None)  # seconds for thousands of pairs
            rows = comparison.compare_correlations(one, other, judged.scores)
        else:
            first, second = (_scores(model, side, judged, bar) for model, side in ((a, "A"), (b, "B")))
            rows = comparison.compare_rankings(first, second)
    sentence = rows[0].sentence(a, b)
    if as_json:
        output.write_json(
            {"a": a, "b": b, "data": str(data), "rows": [row.plain() for row in rows], "sentence": sentence}
        )
        return
    out, _ = output.consoles()
    out.print(table(rows))
    out.print(sentence, markup=False)


def _cosines(model: str, judged: judgements.Pairs, bar: Progress, side: str) -> NDArray[np.float64]:
    with encoding.opened(model, bar) as encoder:
        return encoding.cosines(encoder, judged, bar, side)


def _scores(model: str, side: str, judged: judgements.Collection, bar: Progress) -> dict[str, NDArray[np.float64]]:
    """Of each query [q], by measure."""
    from spanstream.standalone.encoder.comparison import ranking_scores

    with encoding.opened(model, bar) as encoder:
        documents = encoding.documents(encoder, judged, bar, f"{side}: documents")
        queries = encoding.queries(encoder, judged, bar, f"{side}: queries")
    return ranking_scores(judged, queries, documents)


def table(rows: Sequence[Row], a: str = "A", b: str = "B") -> Table:
    """For people; `a` and `b` head their columns."""
    from rich.table import Table

    found = Table("measure", box=None)
    for name in (a, b, f"{b} - {a}", "95 % interval"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("")
    for row in rows:
        value, low, high = row.difference
        between = f"{low:+.2f} to {high:+.2f}"
        found.add_row(
            row.measure, f"{row.a:.2f}", f"{row.b:.2f}", f"{value:+.2f}", between, "shown" if row.shown else "not shown"
        )
    return found
