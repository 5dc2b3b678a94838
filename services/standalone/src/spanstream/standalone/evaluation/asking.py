"""Judged sets, each asked of a Spanstream of its own: what `eval` and `tune` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, judgements

if TYPE_CHECKING:
    from spanstream.client import Client

SOURCE = "eval"

T = TypeVar("T")
Answers = dict[str, list[tuple[str, int, int]]]  # query -> document, start and end of what answers it


def read_sets(datasets: Sequence[Path]) -> dict[str, tuple[judgements.Collection, Answers]]:
    """By name; raises BadParameter."""
    read = {folder.resolve().name: _read(folder) for folder in datasets}
    if len(read) < len(datasets):
        raise typer.BadParameter("two sets have the same name", param_hint="DATASET")
    return read


def _read(folder: Path) -> tuple[judgements.Collection, Answers]:
    try:
        return judgements.read_collection(folder), judgements.read_answers(folder)
    except (judgements.Unreadable, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="DATASET") from error


def in_scratch(
    sets: Mapping[str, judgements.Collection],
    asked: Callable[[Client, str, judgements.Collection], T],
    *,
    quiet: bool,
) -> dict[str, T]:
    """What is `asked` of each set once it has been ingested; raises Exit where a Spanstream does not start."""
    from spanstream.standalone.evaluation.scratch import NotStarted, scratch

    found: dict[str, T] = {}
    with encoding.told():
        for name, judged in sets.items():
            try:
                with scratch() as client:
                    _ingest(client, name, judged, quiet=quiet)
                    found[name] = asked(client, name, judged)
            except NotStarted as error:
                typer.echo(f"Spanstream did not start: {error}", err=True)
                raise typer.Exit(1) from error
    return found


def _ingest(client: Client, name: str, judged: judgements.Collection, *, quiet: bool) -> None:
    _, err = output.consoles()
    with output.IngestProgress(err, name, len(judged.documents), quiet=quiet) as bar:
        report = client.ingest(SOURCE, judged.documents, on_progress=bar)
    if report.counts.failed and not quiet:
        err.print(output.failures(report.failures[:5], report.counts.failed))
