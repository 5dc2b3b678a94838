"""`spanstream migrate`: move the index of a running Spanstream to another release of the encoder, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spanstream.client import config as client_config
from spanstream.client import output
from spanstream.client.cli import FAILED, REFUSED, UNREACHABLE
from spanstream.standalone.options import Data, Json

LOOK_SECONDS = 1.0
_FILLING = "filling"

app = typer.Typer(
    help="Move the index to another release of the encoder while everything goes on, and back.", no_args_is_help=True
)

Release = Annotated[
    str,
    typer.Argument(
        metavar="RELEASE",
        envvar="NEXT_ENCODER_URL",  # in the process that moves the index of separate services
        help="A folder that `train` wrote, a release file, a model's name, or http://host:port.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", metavar="NUMBER", min=0, help="Documents a second at most, 0.1 at least; 0: unbounded."),
]


@app.command()
def plan(release: Release, rate: Rate = None, data: Data = None, as_json: Json = False) -> None:
    """What moving there will cost: documents, texts, bytes and hours. Changes nothing."""
    told = _asked("plan", {"encoder": _named(release), "rate": _checked(rate) or 0.0}, data)
    if as_json:
        output.write_json(told)
        return
    out, _ = output.consoles()
    out.print(
        f"From {told['from']['release']} to {told['to']['release']} ({told['to']['dimension']} numbers a vector)."
    )
    out.print(
        f"{told['documents']:,} documents, about {told['passages']:,} passages of {told['characters']:,} characters"
        f" ({told['tokens']:,} tokens).\n"
        f"About {told['vectors']:,} new vectors: {told['vector_bytes'] / 1e6:,.1f} MB, beside the old ones until these are"
        " retired.\n"
        f"{told['documents_per_second']} documents a second were measured here just now: {told['hours']:.2f} hours, and"
        " longer while other documents come in.\n"
        f"{_room(told['free_bytes'], told['vector_bytes'])}",
        markup=False,
    )


@app.command()
def apply(
    release: Release,
    rate: Rate = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            "--overlap", metavar="SHARE", min=0, max=1, help="Of the first ten hits that both must find; at first 0.2."
        ),
    ] = None,
    success_drop: Annotated[
        float | None,
        typer.Option(
            "--success-drop",
            metavar="SHARE",
            min=0,
            max=1,
            help="By which fewer sentences may find their document; at first 0.05.",
        ),
    ] = None,
    bridge: Annotated[
        Path | None,
        typer.Option(
            "--bridge",
            metavar="FILE",
            help="Made by `encoder bridge OLD NEW`: the new release answers from now on, over the old index.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show how it goes, until it is done.")] = True,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Fill an index of the new release beside the live one, compare both, and switch. Nothing is stopped.

    The running Spanstream does it: this command may be ended, and called again to look on; options that are not given stay as
    they were. After a crash the next start goes on. Exit code 1: the new index was not good enough, or could not be filled; the old one goes on.
    """
    options = {
        "encoder": _named(release),
        "rate": _checked(rate),
        "overlap": overlap,
        "success_drop": success_drop,
        "bridge": str(bridge.absolute()) if bridge else None,
    }
    told = _asked("apply", options, data)
    if wait:
        told = _watched(told, data, quiet=as_json)
    _show(told, as_json)
    if wait and (told["migration"] is None or told["migration"]["stage"] != "switched"):
        raise typer.Exit(FAILED)


@app.command()
def status(data: Data = None, as_json: Json = False) -> None:
    """Which release is live, what is kept, and how far a migration is."""
    _show(_asked("status", {}, data), as_json)


@app.command()
def rollback(
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            help="For the old index to have all that the new one shows; then it is live anyway.",
        ),
    ] = 30.0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let the old release answer again, at once. The new one is kept current: `apply` switches to it once more."""
    told = _asked("rollback", {"wait": wait}, data)
    _show(told, as_json)
    if not told["settled"] and not as_json:
        typer.echo("The old index has not had everything yet: what came last is found a little later.", err=True)


@app.command()
def retire(data: Data = None, as_json: Json = False) -> None:
    """Give the old index up: no way back. At its next start Spanstream removes it, and works with the new release alone."""
    told = _asked("retire", {}, data)
    _show(told, as_json)
    if not as_json:
        typer.echo("Restart Spanstream to finish it; until then both are kept.")


@app.command()
def cancel(data: Data = None, as_json: Json = False) -> None:
    """Remove the new index, which is not live."""
    _show(_asked("cancel", {}, data), as_json)


def _room(free: int | None, needed: int) -> str:
    if free is None:
        return "How much room the disks of the index server have is not known here: look there first."
    room = f"{free / 1e6:,.1f} MB of the index's disk may be filled"
    return f"{room}: too few, so apply refuses. Make room first." if free < needed else f"{room}."


def _named(release: str) -> str:
    """A path as the running process finds it too; of a folder that `train` or `releases fetch` wrote its release file."""
    path = Path(release)
    file = path / "release.yaml"  # training.outcome's, which would bring torch
    path = file if file.is_file() else path
    return str(path.absolute()) if path.exists() else release


def _checked(rate: float | None) -> float | None:
    if rate is not None and 0 < rate < 0.1:
        raise typer.BadParameter("0, or 0.1 at least", param_hint="--rate")
    return rate


def _asked(what: str, options: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    from spanstream.standalone import control

    folder = data or client_config.data_folder()
    try:
        return control.ask(folder, f"migrate {what}", options, lambda *_: None)
    except control.NobodyThere as error:
        typer.echo(
            f"No Spanstream runs on {folder}: start it with all services in one process (spanstream up). Of separate services"
            " ask in the pod of their migration's job.",
            err=True,
        )
        raise typer.Exit(UNREACHABLE) from error
    except control.Refused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error


def _watched(
    told: dict[str, Any], data: Path | None, *, quiet: bool, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """The status once nothing goes on by itself any more."""
    from spanstream.standalone.encoder import encoding

    with encoding.progress(quiet=quiet) as bar:
        task = bar.add_task("documents")
        while told["migration"] and told["migration"]["stage"] == _FILLING and not told["migration"]["problem"]:
            now = told["migration"]
            doing = now.get("waits_for") or ("documents" if now.get("events_left") else "comparing")
            bar.update(task, description=doing, completed=now["documents"], total=max(1, now["old_documents"]))
            sleep(LOOK_SECONDS)
            told = _asked("status", {}, data)
    return told


def _show(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_json(told)
        return
    out, _ = output.consoles()
    out.print(f"Live: {told['release']}", markup=False)
    for each in told["generations"]:
        out.print(f"  {each['name']}: {each['documents']:,} documents{', live' if each['live'] else ''}", markup=False)
    if (now := told["migration"]) is None:
        return
    out.print(f"Migration to {now['release']}: {now['stage']}", markup=False)
    if "events" in now:
        left = f", {now['events_left']:,} events left" if now["events_left"] else ""
        out.print(
            f"  {now['documents']:,} of {now['old_documents']:,} documents, {now['events_per_second']} events a second{left}",
            markup=False,
        )
        for name, count in now["failed"].items():
            out.print(f"  {count:,} events failed: {name}", markup=False)
    for line in filter(None, (now.get("waits_for"), now["problem"])):
        out.print(f"  {line}", markup=False)
    if now.get("bridge_used"):
        out.print("  the new release answers over the bridge, from the old index", markup=False)
    if over := now.get("over_bridge"):
        out.print(
            f"  over the bridge {over['new_success']:.0%} of {over['queries']} sentences find their document,"
            f" {over['old_success']:.0%} with the old release; {over['overlap']:.0%} of the first ten are the same",
            markup=False,
        )
    if report := now["report"]:
        covered = report["coverage"]
        out.print(
            f"  compared: {covered['live']:,} documents, {covered['lacking']:,} lacking, {covered['stale']:,} stale",
            markup=False,
        )
        for each in covered.get("named", ()):
            out.print("    " + output.line("/".join((each["tenant"], each["source"], each["id"]))), markup=False)
        if asked := report.get("shadow"):
            out.print(
                f"  of {asked['queries']} sentences {asked['old_success']:.0%} found their document before,"
                f" {asked['new_success']:.0%} now; {asked['overlap']:.0%} of the first ten are the same",
                markup=False,
            )
        if over := report.get("bridge"):
            out.print(
                f"  the bridge: {over['old_success']:.0%} of {over['queries']} sentences over it, {over['new_success']:.0%} in"
                f" the new index; {over['overlap']:.0%} of the first ten are the same",
                markup=False,
            )
