"""What the commands are given to judge with, read and refused before anything takes time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spanstream.standalone.encoder import judgements
from spanstream.standalone.gate import exam

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Judge by these: corpus.jsonl, queries.jsonl, qrels.tsv as in BEIR, and spans.tsv if there is one. Default: "
        "by words of sentences that were not learnt from.",
    ),
]
Similarity = Annotated[
    Path | None,
    typer.Option(
        "--similarity",
        metavar="FILE",
        help="Scored pairs, of which similarity must not fall: a header, then a score and two texts a line, with tabs or (.csv) commas.",
    ),
]


def judged(data: Path) -> exam.Exam:
    """Raises BadParameter, and Unexaminable where judgements name unknown documents."""
    try:
        found, answers = judgements.read_collection(data), judgements.read_answers(data)
    except (judgements.Unreadable, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--data") from error
    return exam.judged(found, answers, str(data))


def scored(similarity: Path | None) -> judgements.Pairs | None:
    """Raises BadParameter."""
    try:
        return judgements.read_pairs(similarity) if similarity else None
    except (judgements.Unreadable, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--similarity") from error
