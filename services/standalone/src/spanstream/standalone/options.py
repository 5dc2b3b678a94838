"""Options that several commands share. Nothing heavy is imported here: an image without a model has some of these commands too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="FOLDER", help="Data folder; default: SPANSTREAM_DATA, else spanstream below ~/.local/share."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
