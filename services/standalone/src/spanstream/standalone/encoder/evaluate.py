"""`spanstream encoder evaluate`: whether a release may be offered in place of another one."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.paths import Paths
from spanstream.standalone.gate.sources import Data, Similarity

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanstream.standalone.encoder.texts import Reader
    from spanstream.standalone.gate.exam import Exam


def evaluate(
    candidate: Annotated[
        str,
        typer.Argument(metavar="CANDIDATE", help="A folder that `spanstream train` wrote, a release file, a model."),
    ],
    paths: Paths = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="BASE", help="What it is to replace; default: what its training began with."),
    ] = None,
    data: Data = None,
    similarity: Similarity = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the judgement as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Hold a release against another one, rule by rule (docs/training.md); ends with 1 where it does not pass.

    Of the folder of a training the verdict is kept, and a release that passes is offered.
    """
    with encoding.told():
        from spanstream.standalone.encoder.texts import Reader
        from spanstream.standalone.gate import evaluating, report, sources
        from spanstream.standalone.gate.exam import Unexaminable, halves
        from spanstream.standalone.releases import manifest
        from spanstream.standalone.training import outcome, spool

        if out is not None and (not out.absolute().parent.is_dir() or (out.exists() and not out.is_file())):
            raise typer.BadParameter(f"{out} is no file in a folder that exists", param_hint="--out")
        if (Path(candidate) / spool.FILE).exists():  # its matrix may still come, and its own gate
            raise typer.BadParameter(
                f"the training in {candidate} has not ended: the same `spanstream train` goes on with it",
                param_hint="CANDIDATE",
            )
        trained = outcome.read(Path(candidate))
        base = against or (trained["recipe"]["start"] if trained else None)
        if base is None:
            raise typer.BadParameter("name the release that it is to replace", param_hint="--against")
        name = str(outcome.release(Path(candidate))) if trained else candidate
        pairs, reader = sources.scored(similarity), Reader(paths or [])
        with encoding.progress(quiet=as_json) as bar:
            asked = sources.judged(data) if data else _drawn(reader, (trained or {}).get("by_document"), bar)
            if data and trained and "pairs" in trained["recipe"]["objectives"]:
                _, asked = halves(asked)  # whatever it learnt is in the other one
            if not asked.questions:
                raise Unexaminable("there is nothing to ask of these texts: give more, or --data")
            found = evaluating.evaluate(base, name, asked, pairs, bar)
        if (
            trained and not (Path(candidate) / manifest.FILE).is_file()
        ):  # one that was fetched stays as it was published
            outcome.judge(Path(candidate), found.plain())
        if out is not None:
            out.write_text(json.dumps(found.plain(), indent=1) + "\n", encoding="utf-8")
        if as_json:
            output.write_json(found.plain())
        else:
            console, errors = output.consoles()
            report.tell(found, console)
            reader.tell(errors)
        raise typer.Exit(0 if found.passed else 1)


def _drawn(reader: Reader, trained: bool | None, bar: Progress) -> Exam:
    """Pseudo-queries of texts; of those that a training on the same texts has not seen: whole documents, or passages, where
    it is known which it was `trained` by.
    """
    from spanstream.standalone.gate import pseudo
    from spanstream.standalone.training import spool

    with TemporaryDirectory() as folder:
        spool.write(spool.documents(encoding.counted(reader.passages(), bar)), Path(folder))
        whole = spool.by_document(Path(folder)) if trained is None else trained
        return pseudo.exam(spool.source(Path(folder), whole), spool.held_out(whole))
