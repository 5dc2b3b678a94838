"""`spanstream audit-log`: whether an audit log (AUTH_AUDIT_FILE) is as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The audit log that services write (AUTH_AUDIT_FILE).", no_args_is_help=True)


@app.callback()
def _commands() -> None: ...


@app.command("verify")
def verify(file: Annotated[Path, typer.Argument(help="The file, or one that was moved away.")]) -> None:
    """Check that no line was changed, taken out or put between, and print the last line's hash: note it elsewhere.

    Lines cut off at the end show only there: the hash that was noted is then in no line any more. Exit code 1: broken.
    """
    from spanstream.runtime import audit

    try:
        found = audit.verify(file)
    except audit.Broken as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    torn = f", {found.torn} cut short by a crash" if found.torn else ""
    typer.echo(f"{file}: {found.lines} lines{torn}, last hash {found.last}")
