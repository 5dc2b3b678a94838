"""`spanstream encoder distill`: a static encoder out of a model, for very cheap vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder.paths import Paths

if TYPE_CHECKING:
    from spanstream.encoder.encoder import Text
    from spanstream.standalone.encoder.texts import Piece, Reader


def distill(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write the static encoder.")],
    paths: Paths = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The teacher: minilm, a folder, or a Hugging Face name.")
    ] = "minilm",
    sample: Annotated[
        int, typer.Option("--sample", metavar="PASSAGES", min=1, help="How many to draw, the same each time.")
    ] = 5000,
    dimension: Annotated[
        int | None,
        typer.Option("--dimension", metavar="NUMBER", min=1, help="Of the vectors; default: as the teacher's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Make a static encoder: a table of a vector per token, fitted to what a model says of texts like yours.

    It encodes without a forward pass, and less well. Use the folder wherever a model is named. Its vectors are a release
    of their own: a collection is filled and asked with one encoder.
    """
    from spanstream.standalone.encoder.encoding import told

    with told():
        _distill(out, paths or [], model, sample, dimension, as_json)


def _distill(out: Path, paths: list[str], model: str, size: int, dimension: int | None, as_json: bool) -> None:
    from spanstream.representations.distillation import distill as distilled
    from spanstream.representations.model import load
    from spanstream.representations.static import save_static
    from spanstream.standalone.encoder.encoding import counted, progress
    from spanstream.standalone.encoder.texts import Reader, draw

    if (out.exists() and not out.is_dir()) or not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"{out} is no folder, nor one to be made in a folder that exists", param_hint="--out")
    reader = Reader(paths)
    with progress(quiet=as_json) as bar:
        passages, total = draw(counted(reader.passages(), bar), size)
        loading = bar.add_task(f"loading {model}", total=None)
        # Float32 whatever is fastest here: the same texts must give the same numbers.
        teacher = load(model)
        bar.remove_task(loading)
        tasks = {what: bar.add_task(what, total=None) for what in ("vocabulary", "passages")}

        def tell(what: str, done: int, of: int) -> None:
            bar.update(tasks[what], completed=done, total=of)

        table = distilled(teacher, [text_of(passage) for passage in passages], dimension, progress=tell)
        save_static(table, out)
    facts = {
        "folder": str(out),
        "release": f"{table.name}@{table.fingerprint[:8]}",
        "teacher": f"{table.teacher}@{table.teacher_fingerprint[:8]}",
        "tokens": len(table.rows),
        "dimension": table.rows.shape[1],
        "passages": len(passages),
        "of": total,
        "unread": len(reader.unread),
    }
    _report(facts, reader, as_json)


def text_of(passage: Piece) -> Text:
    """The passage with its sentences, so that short texts are learnt too."""
    import numpy as np

    from spanstream.encoder.encoder import Text
    from spanstream.ingestor.segmentation import passages

    cuts = passages(passage.text, len(passage.text), len(passage.text))
    sentences = [sentence for cut in cuts for sentence in cut.sentences]
    return Text(passage.text, np.array(sentences, np.int32).reshape(-1, 2))


def _report(facts: dict[str, object], reader: Reader, as_json: bool) -> None:
    if as_json:
        output.write_json(facts)
        return
    from rich.table import Table

    out, err = output.consoles()
    table = Table("", "", box=None, show_header=False)
    for name, value in facts.items():
        table.add_row(name, output.line(str(value)))
    out.print(table)
    reader.tell(err)
