"""The log that a command works on: named by its caller, or that of the Spanstream that runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from spanstream.client import config as client_config
from spanstream.client.cli import REFUSED, UNREACHABLE

if TYPE_CHECKING:
    from spanstream.eventlog.log import Log


@contextmanager
def opened_log(url: str | None) -> Iterator[Log]:
    """The log at the address given, or of the Spanstream that runs on this machine's data folder."""
    from spanstream.eventlog.errors import EventLogError, LogUnavailable
    from spanstream.eventlog.opening import open_log
    from spanstream.runtime.settings import LogAccessSettings, SettingsError

    folder = client_config.data_folder()
    saved = None if url else client_config.read(folder).get("log_url")
    url = url or saved
    if not url:
        typer.echo("No log: start one with `spanstream up`, or name one with --log-url or LOG_URL.", err=True)
        raise typer.Exit(UNREACHABLE)
    try:
        log = open_log(url, LogAccessSettings.read().log_access)
    except (ValueError, SettingsError) as error:
        raise typer.BadParameter(str(error), param_hint="--log-url") from error
    try:
        yield log
    except LogUnavailable as error:
        where = f"{url}, which {folder / client_config.FILE} names" if saved else url
        typer.echo(f"No log answers at {where}; start one with `spanstream up`, or name one with --log-url.", err=True)
        raise typer.Exit(UNREACHABLE) from error
    except EventLogError as error:
        typer.echo(f"The log at {url} does not do this: {error}", err=True)
        raise typer.Exit(REFUSED) from error
    finally:
        log.close()
