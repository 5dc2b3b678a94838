"""`spanstream failures`: what failed, by cause, and once more. A plug-in of the command, as `watch` is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from spanstream.client import output
from spanstream.client.cli import FAILED, INTERRUPTED, Json, Url, _connect
from spanstream.client.dead_letters import DeadLetters, FailureGroup, Resolution, Selection
from spanstream.client.workbench import RATE

LINE_SECONDS = 2.0  # between two lines of progress where there is no terminal

app = typer.Typer(
    help="See what failed and why, by cause; send it again after a fix, or let it be.", no_args_is_help=True
)

Fingerprint = Annotated[str, typer.Argument(metavar="FINGERPRINT", help="Of a cause, as `list` shows it.")]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="These records alone, as `show` names them.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@app.command(name="list")
def list_(url: Url = None, as_json: Json = False) -> None:
    """List what failed and is open, by cause: the last to fail first."""
    with _connect(url) as client:
        found = client.failures.groups()
    if as_json:
        output.write_json(found)
        return
    out, err = output.consoles()
    nothing = Text("nothing failed that is open", style="dim")
    out.print(_groups(found.groups) if found.groups else nothing, soft_wrap=True)
    if found.left_out:
        err.print("There are more in the log, which are listed once these are resolved.", style="yellow")


@app.command()
def show(
    fingerprint: Fingerprint,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many records, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on behind an answer.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show the records of one cause, the newest first."""
    with _connect(url) as client:
        found = client.failures.show(fingerprint, limit=limit, cursor=cursor)
    output.write_json(found) if as_json else output.consoles()[0].print(_records(found), soft_wrap=True)


@app.command()
def replay(
    fingerprint: Fingerprint,
    ids: Ids = None,
    limit: Limit = None,
    rate: Annotated[int, typer.Option("--rate", min=1, max=1000, help="Records a second.")] = RATE,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Send the records of one cause again, the oldest first, to the topic that they came from.

    Safe in any order and as often as you like: an old version never overwrites a newer one. Ctrl-C ends it; the same
    command goes on. What fails again is listed again.
    """
    with _connect(url) as client, _progress("replayed", limit, as_json or dry_run) as note:
        chosen = _selection(ids, limit, dry_run, note)
        done = client.failures.replay(fingerprint, rate_per_second=rate, **chosen)
    _end(done, "replayed", dry_run=dry_run, as_json=as_json)


@app.command()
def discard(
    fingerprint: Fingerprint,
    ids: Ids = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Let the records of one cause be: they are listed no more, and stay in the log. The documents stay `failed`."""
    with _connect(url) as client, _progress("discarded", limit, as_json or dry_run) as note:
        done = client.failures.discard(fingerprint, **_selection(ids, limit, dry_run, note))
    _end(done, "discarded", dry_run=dry_run, as_json=as_json)


def _selection(
    ids: list[str] | None, limit: int | None, dry_run: bool, note: Callable[[Resolution], None]
) -> Selection:
    return Selection(ids=ids, limit=limit, dry_run=dry_run, on_progress=note)


@contextmanager
def _progress(verb: str, limit: int | None, quiet: bool) -> Iterator[Callable[[Resolution], None]]:
    """A bar, or lines where there is no terminal; and what is said where Ctrl-C ends it."""
    _, err = output.consoles()
    done = 0
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
    )
    task, last = bar.add_task(verb, total=limit), time.monotonic()

    def note(now: Resolution) -> None:
        nonlocal done, last
        done = now.done
        total = now.done + now.left if limit is None else min(limit, now.done + now.left)
        bar.update(task, completed=done, total=total)
        if bar.disable and not quiet and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            err.print(f"{done} of {total} {verb}", markup=False)

    try:
        with bar:
            yield note
    except KeyboardInterrupt:
        err.print(f"{done} {verb} for certain; the same command goes on where this ended.", style="yellow")
        raise typer.Exit(INTERRUPTED) from None


def _end(done: Resolution, verb: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.write_json({"resolution": done, "dry_run": dry_run})
    else:
        out, err = output.consoles()
        left = f", {done.left} left" if done.left else ""
        out.print(f"{'would be ' if dry_run else ''}{verb}  {done.done}{left}")
        if verb == "replayed" and done.unreplayable:
            _warn(err, done.unreplayable)
    nothing = verb == "replayed" and done.unreplayable and not done.done
    raise typer.Exit(FAILED if nothing else 0)


def _warn(err: Console, count: int) -> None:
    told = "its bytes are" if count == 1 else "their bytes are"
    err.print(f"{count} cannot be replayed: {told} not in the dead letter. Send the documents again.", style="yellow")


def _groups(found: tuple[FailureGroup, ...]) -> Text:
    """A few lines a group, not a row of a table: fingerprints and ids are to be copied, however narrow the terminal."""
    lines = []
    for group in found:
        records = f"{group.count} record{'s' * (group.count != 1)}"
        about = Text.assemble(
            group.fingerprint, f"  {output.clean(group.stage)}  ", (output.clean(group.reason), "red"), f"  {records}"
        )
        lines += [about, Text.assemble(f"    {group.meaning} ", (output.line(group.detail), "dim"))]
        lines.append(Text(f"    {_time(group.first_at_us)} to {_time(group.last_at_us)}", style="dim"))
    return Text("\n").join(lines)


def _records(found: DeadLetters) -> Text:
    group = found.group
    lines = [Text.assemble((output.clean(group.reason), "red"), f"  {group.meaning}")]
    for record in found.records:
        where = f"{output.clean(record.source)}/{output.clean(record.document)}"
        replays = f"  replays: {record.replays}" if record.replays else ""
        lines.append(Text.assemble((where, "cyan"), f"  version {record.version or '?'}  {record.id}{replays}"))
        lines.append(Text.assemble(f"    {_time(record.failed_at_us)}  ", (output.line(record.detail), "dim")))
    shown = (
        f"{len(found.records)} of {group.count} records of {group.documents} documents, {group.replayable} replayable"
    )
    more = [Text(f"older ones: --cursor {found.cursor}", style="dim")] if found.cursor else []
    return Text("\n").join([*lines, Text(shown, style="dim"), *more])


def _time(at_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_us / 1e6))
