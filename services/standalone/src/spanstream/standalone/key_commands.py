"""`spanstream keys`: the file of API keys that services read (AUTH_KEYS_FILE)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

OVERLAP_HOURS = 24.0

app = typer.Typer(
    help="API keys, kept hashed in a file that the services read (AUTH_KEYS_FILE), again whenever it changes.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(help="The key's name.")]
File = Annotated[Path, typer.Option("--file", help="The keys file.", envvar="AUTH_KEYS_FILE")]
Days = Annotated[float | None, typer.Option("--days", min=0, help="It expires after so many days.", show_default=False)]


@app.command("create")
def create(
    id: Annotated[str, typer.Argument(help="A name for the key; one of the same name has to be revoked before.")],
    file: Annotated[Path, typer.Option("--file", help="The keys file; made if missing.", envvar="AUTH_KEYS_FILE")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose documents it reads and writes.")] = "default",
    scopes: Annotated[
        str | None,
        typer.Option(
            "--scopes",
            help="Of read, write and admin (what an operator does), with commas; default: read,write, with --group read.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            help="It reads only documents of this group, and those without groups; may be repeated. Default: all.",
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="It reads and writes only this source; may be repeated. Default: all."),
    ] = None,
    days: Days = None,
) -> None:
    """Make a key and print it, once: the file holds only its hash."""
    from spanstream.runtime.key_file import DEFAULT_SCOPES, create_key, read_keys

    # Groups bound what a key reads, not what it writes: one that overwrites what it cannot see has to be asked for.
    wanted = scopes.split(",") if scopes is not None else ["read"] if group else DEFAULT_SCOPES
    with _refused():
        if file.exists() and any(key.id == id and key.revoked is None for key in read_keys(file)):
            raise ValueError(f"there is a key {id} already: rotate it for a new secret, or revoke it first")
        typer.echo(create_key(file, id, tenant, wanted, group, source, _expires(days)))


@app.command("list")
def list_keys(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """List the keys: whose they are, what they may, and until when. Never a secret, nor its hash."""
    from spanstream.runtime.key_file import read_keys

    now = datetime.now(UTC)
    with _refused():
        rows = [
            {"id": key.id, "tenant": key.tenant, "state": key.state(now), "scopes": sorted(key.scopes)}
            | {"groups": None if key.groups is None else sorted(key.groups)}
            | {"sources": None if key.sources is None else sorted(key.sources)}
            | {"expires": key.expires and key.expires.isoformat()}
            | {"old_secret_until": key.previous and key.previous.expires.isoformat()}
            for key in read_keys(file)
        ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        named = {name: value for name, value in row.items() if value is not None and name != "id"}
        shown = (f"{name} {','.join(value) if isinstance(value, list) else value}" for name, value in named.items())
        typer.echo(f"{row['id']:16}" + "  ".join(shown))


@app.command("rotate")
def rotate(
    id: Id,
    file: File,
    hours: Annotated[
        float, typer.Option("--hours", min=0, help="So long the old secret is accepted beside the new one.")
    ] = OVERLAP_HOURS,
    days: Days = None,
) -> None:
    """Give a key a new secret and print it, once. The old one is accepted for a day, or as long as you say."""
    from spanstream.runtime.key_file import rotate_key

    with _refused():
        typer.echo(rotate_key(file, id, timedelta(hours=hours), datetime.now(UTC), _expires(days)))


@app.command("revoke")
def revoke(id: Id, file: File) -> None:
    """Let a key be accepted no more, its old secret neither; services know within a second."""
    from spanstream.runtime.key_file import revoke_key

    with _refused():
        revoke_key(file, id, datetime.now(UTC))


def _expires(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


@contextmanager
def _refused() -> Iterator[None]:
    """What is wrong with the wish or the file, as a usage error; never what the file holds."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the keys file'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_input=False)
        )
        raise typer.BadParameter(told) from error
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}") from error
    except (LookupError, ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error.args[0])) from error
