"""The argument of commands that read texts, as `texts.Reader` takes it."""

from __future__ import annotations

from typing import Annotated

import typer

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        show_default=False,
        help="Files, folders, - for NDJSON on stdin, as for ingest; log: for the documents of the Spanstream here, or "
        "kafka://host:port; default: Python's own documentation.",
    ),
]
