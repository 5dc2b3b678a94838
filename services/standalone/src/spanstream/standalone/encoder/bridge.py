"""`spanstream encoder bridge`: the map from one release's vectors to another's, and what of the other's quality it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, judgements
from spanstream.standalone.encoder.paths import Paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

    from spanstream.encoder.encoder import Encoder
    from spanstream.representations.bridge import Bridge
    from spanstream.standalone.encoder.comparison import Row
    from spanstream.standalone.encoder.texts import Piece

_CALL = 64  # texts


def bridge(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The model whose vectors an index holds.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The model that is to answer questions.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the bridge (safetensors).")],
    paths: Paths = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Judged queries in BEIR's form: what it keeps of NEW's quality."),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="PASSAGES", min=1, help="How many to draw, the same each time.")
    ] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Fit a linear map from OLD's vectors to NEW's on texts like yours.

    With it a new model's questions can be asked of vectors that the old one made, before the documents have been read
    anew. What that costs in quality is printed: cosines on texts that were held out, and nDCG with --data.
    """
    try:
        judged = judgements.read_collection(data) if data else None
    except (judgements.Unreadable, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--data") from error
    with encoding.told():
        _bridge(old, new, out, paths or [], judged, sample, as_json)


def _bridge(
    old: str, new: str, out: Path, paths: list[str], judged: judgements.Collection | None, size: int, as_json: bool
) -> None:
    from spanstream.representations.bridge import fit
    from spanstream.standalone.encoder.encoding import counted, opened, progress
    from spanstream.standalone.encoder.texts import Reader, draw

    if not out.absolute().parent.is_dir() or (out.exists() and not out.is_file()):
        raise typer.BadParameter(f"{out} is no file in a folder that exists", param_hint="--out")
    reader = Reader(paths)
    rows: list[Row] = []
    with progress(quiet=as_json) as bar:
        passages, total = draw(counted(reader.passages(), bar), size)
        with opened(old, bar) as first, opened(new, bar) as second:
            source, target = first.info().release, second.info().release
            if source == target:
                raise typer.BadParameter(f"both are {source}: nothing is between them", param_hint="NEW")
            before, after = (_vectors(encoder, passages, bar) for encoder in (first, second))
            made, cosines = fit(before, after, source=source, target=target)
            if judged is not None:
                rows = _kept(first, second, made, judged, bar)
    made.save(out)
    facts = {"source": source, "target": target, "passages": len(passages), "of": total, "vectors": made.rows}
    _report({"file": str(out), **facts, "unread": len(reader.unread)}, cosines, rows, as_json)
    if not as_json:
        reader.tell(output.consoles()[1])


def _vectors(encoder: Encoder, passages: list[Piece], bar: Progress) -> NDArray[np.float32]:
    """Of the passages and of their sentences [n, d], for an index holds both."""
    import numpy as np

    from spanstream.standalone.encoder.distill import text_of

    found = [np.empty((0, encoder.info().dimension), np.float32)]
    task = bar.add_task(f"encoding with {encoder.info().release}", total=len(passages))
    for start in range(0, len(passages), _CALL):
        for encoded in encoder.encode([text_of(passage) for passage in passages[start : start + _CALL]]):
            found += [encoded.whole[None], encoded.ranges]
        bar.update(task, completed=min(start + _CALL, len(passages)))
    return np.concatenate(found)


def _kept(old: Encoder, new: Encoder, made: Bridge, judged: judgements.Collection, bar: Progress) -> list[Row]:
    """NEW's questions on NEW's documents, and on OLD's over the bridge."""
    from spanstream.standalone.encoder.comparison import compare_rankings, ranking_scores

    queries = encoding.queries(new, judged, bar, "questions")
    read = encoding.documents(new, judged, bar, "documents, read anew")
    carried = made.apply(encoding.documents(old, judged, bar, "documents, over the bridge"))
    return compare_rankings(ranking_scores(judged, queries, read), ranking_scores(judged, queries, carried))


def _report(facts: dict[str, Any], cosines: Any, rows: list[Row], as_json: bool) -> None:
    if as_json:
        output.write_json(
            facts | {"cosines": dict(cosines), "kept": {row.measure: {"anew": row.a, "bridge": row.b} for row in rows}}
        )
        return
    from rich.table import Table

    out, _ = output.consoles()
    table = Table("map", box=None)
    table.add_column("mean cosine, held out", justify="right")
    for name, cosine in cosines.items():
        table.add_row(name, f"{cosine:.4f}" + (" *" if cosine == max(cosines.values()) else "  "))
    out.print(table)
    if rows:
        kept = Table("measure", box=None)
        for name in ("read anew", "over the bridge", "kept", "95 % interval of the difference"):
            kept.add_column(name, justify="right")
        for row in rows:
            _, low, high = row.difference
            share = f"{100 * row.b / row.a:.1f} %" if row.a else "-"
            kept.add_row(row.measure, f"{row.a:.2f}", f"{row.b:.2f}", share, f"{low:+.2f} to {high:+.2f}")
        out.print(kept)
    out.print(f"\nfrom {facts['source']} to {facts['target']}, on {facts['vectors']} vectors", markup=False)
    out.print(f"written to {facts['file']}", markup=False, soft_wrap=True)
