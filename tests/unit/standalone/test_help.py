"""The help fits a terminal of 80 columns: nothing is cut off."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from spanstream.standalone.commands import up


def test_help_of_up_is_whole_in_eighty_columns() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(up)
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0
    assert "encoder." in done.output
    assert "…" not in done.output
