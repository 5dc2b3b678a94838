"""`spanstream erasure`: delete a source or everything, and receipts that say, signed, what is left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from spanstream.client import config, output
from spanstream.client.cli import FAILED, Json, Url, _connect

UNKNOWN = (
    "nothing that was read tells of it: it never was here, its tombstone is forgotten by now, or it is still on its way"
)
PAUSE_SECONDS = 1.0  # for the deletes to arrive: those that have not are sent once more, which changes nothing

app = typer.Typer(
    help="Delete much at once, and receipts of what was deleted. Needs a key with the scope admin.",
    no_args_is_help=True,
)

Source = Annotated[str | None, typer.Option("--source", help="All of this source.")]
Everything = Annotated[bool, typer.Option("--everything", help="All that the key's tenant has.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Private or public key (PEM); default: that of the data folder."),
]


@app.command("delete")
def delete(source: Source = None, everything: Everything = False, url: Url = None, as_json: Json = False) -> None:
    """Delete every document of a source, or of the tenant, until searches see none of them any more."""
    if (source is None) != everything:
        raise typer.BadParameter("name one source with --source, or say --everything")
    deletes = 0
    with _connect(url) as client:
        while found := client.erase(source):
            deletes += found
            time.sleep(PAUSE_SECONDS)
    if as_json:
        output.write_json({"deletes": deletes})
    else:
        typer.echo("deleted" if deletes else "there was nothing to delete")


@app.command("receipt")
def receipt(
    document: Annotated[str | None, typer.Argument(metavar="SOURCE/ID", help="Of this document.")] = None,
    source: Source = None,
    everything: Everything = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it to this file.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Read back every place where something deleted could still be, and say, signed, what was found.

    Of what nobody ever sent there is nothing to be found either, which the receipt says (`known`). Exit code 1: something
    remains; the receipt says where.
    """
    if [document is not None, source is not None, everything].count(True) != 1:
        raise typer.BadParameter("name a document as SOURCE/ID, or a source with --source, or say --everything")
    id: str | None = None
    if document is not None:
        source, slash, id = document.partition("/")
        if not (source and slash and id):
            raise typer.BadParameter(f"name a document as SOURCE/ID, not {document}")
    if out is not None and (out.is_dir() or not out.parent.is_dir()):  # before all is read back
        raise typer.BadParameter(f"{out} cannot be written", param_hint="--out")
    with _connect(url) as client:
        found = client.erasure_receipt(source, id)
    text = json.dumps(found, indent=2)
    if out is not None:
        out.write_text(text + "\n")
    if as_json:
        typer.echo(text)
    else:
        output.consoles()[0].print(shown(found), soft_wrap=True)
    raise typer.Exit(0 if found["state"] == "erased" else FAILED)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, as `receipt --out` writes it.")], key: KeyFile = None
) -> None:
    """Check that a receipt is, to the letter, what the key's owner signed. Exit code 1: it is not."""
    from spanstream.runtime import signing

    try:
        statement = json.loads(file.read_text())
        signing.verify(statement, _public_key(key))
    except signing.Unverified as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(FAILED) from error
    except (OSError, ValueError, AttributeError, signing.KeyUnreadable) as error:
        raise typer.BadParameter(str(error)) from error
    unknown = "" if statement.get("known", True) else f"; {UNKNOWN}"  # receipts of before do not say it
    typer.echo(f"{file}: signed as it is; {statement['state']} at {statement['at']}{unknown}")


@app.command("key")
def public_key(key: KeyFile = None, new: Annotated[bool, typer.Option("--new", help="Make the file.")] = False) -> None:
    """Print the public key that receipts are verified with, for those who are given receipts."""
    from spanstream.runtime import signing

    try:
        if new:
            signing.Signer.create(_key_file(key))
        typer.echo(_public_key(key).decode(), nl=False)
    except (OSError, signing.KeyUnreadable) as error:
        raise typer.BadParameter(str(error)) from error


def _key_file(key: Path | None) -> Path:
    from spanstream.standalone.folder import DataFolder

    return key or DataFolder(config.data_folder()).receipt_key


def _public_key(key: Path | None) -> bytes:
    from spanstream.runtime import signing

    path = _key_file(key)
    data = path.read_bytes()
    return data if b"PUBLIC KEY" in data else signing.Signer.read(path).public_key


def shown(found: dict[str, Any]) -> Text:
    """A receipt, for people."""
    name = output.clean("/".join(each for each in (found["tenant"], found["source"], found["id"]) if each))
    known = found.get("known", True)  # a server of before does not say it
    state = found["state"] if known or found["state"] != "erased" else "not known"
    text = Text.assemble((state, "green" if state == "erased" else "yellow"), f"  {name}\n")
    if not known:
        text.append(f"  {UNKNOWN}\n")
    for place in found["places"]:
        count = "not looked into" if place["found"] is None else f"{place['found']} found"
        until = f", gone by {place['gone_by']}" if place["gone_by"] else ""
        note = f" ({place['note']})" if place["note"] else ""
        text.append(f"  {output.clean(place['place']):24} {count}{until}{note}\n")
    text.append("not looked at:\n", "dim")
    for each in found["not_looked_at"]:
        text.append(f"  {each}\n", "dim")
    text.append("signed" if found["signature"] else "not signed: INGESTOR_RECEIPT_KEY_FILE is not set", "dim")
    return text
