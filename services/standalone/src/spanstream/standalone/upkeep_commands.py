"""`spanstream audit`, `repair`, `backup` and `restore`: the index against the log, and a copy of it to go back to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanstream.client import config as client_config
from spanstream.client import output
from spanstream.client.cli import FAILED, REFUSED, UNREACHABLE, USAGE
from spanstream.standalone.options import Data, Json

if TYPE_CHECKING:
    from rich.table import Table

    from spanstream.eventlog.log import Log
    from spanstream.standalone.audit.reading import Progress
    from spanstream.store.store import Store

ROWS = 20  # differences that a person is shown

LogUrl = Annotated[
    str | None,
    typer.Option("--log-url", metavar="URL", envvar="LOG_URL", help="kafka://host:port; default: this machine's own."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store-url", metavar="URL", envvar="STORE_URL", help="A Qdrant server; default: this machine's own index."
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0, help="For the services to have applied what the log holds at the start."
    ),
]


def audit(
    data: Data = None, log_url: LogUrl = None, store_url: StoreUrl = None, wait: Wait = 60.0, as_json: Json = False
) -> None:
    """Compare the index with the log: every document's version, and every passage. Changes nothing.

    Safe while documents come in. Memory: 300 MB at most, however many documents there are. What it counts, and what each
    difference means, is in docs/operations.md. Exit code 1: they differ, or not everything could be decided.
    """
    answer = _asked("audit", {"wait": wait}, data, log_url, store_url, quiet=as_json)
    _show_audit(answer, as_json)
    raise typer.Exit(0 if answer["equal"] else FAILED)


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    rate: Annotated[
        float, typer.Option("--rate", metavar="NUMBER", min=0.1, max=10_000, help="Records a second.")
    ] = 50.0,
    delete_unlogged: Annotated[
        bool, typer.Option("--delete-unlogged", help="Delete what the log has never heard of, too.")
    ] = False,
    data: Data = None,
    log_url: LogUrl = None,
    store_url: StoreUrl = None,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> None:
    """Mend what `audit` finds: send the winning events again, through the log like any others, then compare once more.

    Whatever is newer wins, so documents may come in meanwhile, and doing it twice changes nothing. Exit code 1: something
    is left.
    """
    options = {"wait": wait, "dry_run": dry_run, "rate": rate, "delete_unlogged": delete_unlogged}
    answer = _asked("repair", options, data, log_url, store_url, quiet=as_json)
    last = answer.get("after", answer)
    if as_json:
        output.write_json(answer)
    else:
        _show_audit(answer, False)
        out, _ = output.consoles()
        out.print(f"{answer['sent']} records {'would be' if dry_run else 'were'} sent again.", markup=False)
        if answer["unmendable"]:
            out.print(
                f"{answer['unmendable']} differences are mended by none: documents to be sent again by their sources,"
                " or (--delete-unlogged) to be deleted.",
                markup=False,
            )
        if "after" in answer:
            out.print("\nAfterwards:")
            _show_audit(last, False)
    raise typer.Exit(0 if last["equal"] else FAILED)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An empty folder, or a new one.")],
    data: Data = None,
    log_url: LogUrl = None,
    store_url: StoreUrl = None,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> None:
    """Copy the index, with the place in the log from which it catches up, while everything goes on.

    Documents themselves are in the log and the blob store, which have backups of their own. Exit code 3: log or index do not
    answer; 4: it is refused, with the reason.
    """
    options = {"folder": str(folder.absolute()), "wait": wait}
    answer = _asked("backup", options, data, log_url, store_url, quiet=as_json)
    if as_json:
        output.write_json(answer)
        return
    out, _ = output.consoles()
    size, disk = answer["bytes"] / 1e6, answer.get("disk_bytes", answer["bytes"]) / 1e6
    out.print(
        f"{answer['folder']}: {answer['files']:,} files that take {disk:,.1f} MB of the disk, in {answer['seconds']} s",
        markup=False,
        soft_wrap=True,
    )
    if disk < size / 2:
        out.print(
            f"Copied without their holes they are {size:,.1f} MB: rsync --sparse and tar --sparse keep these.",
            markup=False,
            soft_wrap=True,
        )
    out.print(f"Generation, whose release every start needs: {answer['generation']}", markup=False, soft_wrap=True)
    out.print(f"Seal, to be noted elsewhere: {answer['seal']}", markup=False, soft_wrap=True)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="That `backup` wrote.")],
    seal: Annotated[
        str | None, typer.Option("--seal", metavar="HASH", help="That `backup` printed; another backup is refused.")
    ] = None,
    other_release: Annotated[
        bool,
        typer.Option(
            "--other-release",
            help="Although it was made with another release of the encoder than the index that is there.",
        ),
    ] = False,
    data: Data = None,
    log_url: LogUrl = None,
    store_url: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the index's place; the services must be stopped. At their next start they catch up from the log.

    Standing queries are as of the backup. Nothing is changed where the backup is damaged, of another log, of another release of
    the encoder, or too old. Exit code 3: log or index do not answer; 4: it is refused, with the reason, as beside a running
    Spanstream.
    """
    from spanstream.standalone.backup import restoring
    from spanstream.standalone.migration import record

    place = data or client_config.data_folder()
    with _explained(), ExitStack() as stack:
        ours = data is not None or store_url is None  # else nothing here is about that index
        recorded = record.read(place) if ours else record.Recorded()
        record.refuse_restore(recorded)
        log, store = stack.enter_context(_neighbours(data, log_url, store_url))
        progress = stack.enter_context(_progress(quiet=as_json))
        moves = restoring.restore(
            log, store, folder, seal=seal, filled=recorded.filled, other=other_release, progress=progress
        )
        if other_release and recorded != record.Recorded():  # from now on as the settings say
            record.write(place, record.Recorded())
    if as_json:
        rows: list[dict[str, Any]] = [
            {"group": group, "topic": topic, "positions": dict(at)} for (group, topic), at in moves.items()
        ]
        output.write_json({"restored": str(folder), "moved": rows})
        return
    out, _ = output.consoles()
    groups = ", ".join(f"{group} on {topic}" for group, topic in moves)
    out.print(f"Restored. Catching up begins when the services start: {groups}.", markup=False)
    if other_release:
        out.print("Start with the ENCODER_MODEL (or ENCODER_URL) and SPANS that it was made with; others are refused.")
    out.print("Then hold it against the log: spanstream audit", markup=False)


def _asked(
    what: str, options: Mapping[str, Any], data: Path | None, log_url: str | None, store_url: str | None, *, quiet: bool
) -> dict[str, Any]:
    """Answered by the Spanstream that runs on the data folder, else here."""
    from spanstream.standalone import control
    from spanstream.standalone.migration import record
    from spanstream.standalone.operations import OPERATIONS

    with _explained(), _progress(quiet=quiet) as progress:
        if log_url is None and store_url is None:
            try:
                return control.ask(data or client_config.data_folder(), what, options, progress)
            except control.NobodyThere:
                pass
        if what == "backup" and store_url is None:
            record.refuse_backup(record.read(data or client_config.data_folder()))
        with _neighbours(data, log_url, store_url) as (log, store):
            store.open_live()
            return OPERATIONS[what](log, store, options, progress)


@contextmanager
def _neighbours(data: Path | None, log_url: str | None, store_url: str | None) -> Iterator[tuple[Log, Store]]:
    """The log and the store at these addresses, else those of the data folder, which is then ours."""
    from spanstream.standalone.neighbours import neighbours

    folder = data or client_config.data_folder()
    if store_url is not None and log_url is None:  # of processes that `spanstream up` started
        log_url = client_config.read(folder).get("log_url")
    with neighbours(folder, log_url, store_url) as found:
        yield found


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong, in a line and an exit code: 3 for what does not answer, 4 for what is refused."""
    from spanstream.client.errors import Unusable
    from spanstream.eventlog.errors import EventLogError, LogUnavailable, Retry
    from spanstream.runtime.settings import SettingsError
    from spanstream.standalone.backup.manifest import Unfit
    from spanstream.standalone.control import Refused
    from spanstream.standalone.migration.record import MigrationRefused
    from spanstream.standalone.trouble import InUse, Trouble
    from spanstream.store.errors import StoreError, StoreUnavailable

    try:
        yield
    except Trouble as trouble:
        typer.echo(f"{trouble.what} {trouble.advice}", err=True)
        raise typer.Exit(REFUSED if isinstance(trouble, InUse) else UNREACHABLE) from trouble
    except (SettingsError, Unusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
    except (EventLogError, StoreError, Unfit, Refused, MigrationRefused, OSError) as error:
        typer.echo(str(error), err=True)
        away = isinstance(error, LogUnavailable | Retry | StoreUnavailable)
        raise typer.Exit(UNREACHABLE if away else REFUSED) from error


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar on standard error for what is being done."""
    from spanstream.standalone.encoder import encoding

    with encoding.progress(quiet=quiet) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=max(1, total))

        yield tell


def _show_audit(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_json(answer)
        return
    out, _ = output.consoles()
    for table in _tables(answer):
        out.print(table)
    out.print(
        f"{answer['logged']:,} documents in the log, {answer['heads']:,} in the index (both with those that were deleted),"
        f" {answer['passages']:,} passages.\n"
        f"Both were summed up, by groups of documents: {answer['buckets_differing']:,} of {2 * answer['buckets']:,} sums"
        f" differed, so {answer['looked_at']:,} documents were looked at one by one. It took {answer.get('seconds', 0)} s.",
        markup=False,
        soft_wrap=True,
    )
    for line in _notes(answer):
        out.print(line, markup=False, soft_wrap=True)


def _notes(answer: Mapping[str, Any]) -> Iterator[str]:
    if answer["undecided"]:
        yield f"{answer['undecided']:,} documents are undecided: the services have not applied all their events. Ask again, or with a longer --wait."
    if answer["beyond_log"]:
        yield (
            f"{answer['beyond_log']:,} documents of the index are beyond the log: it has given up its oldest records, theirs among"
            " them. That is no difference."
        )
    if answer["left_out"]:
        yield "Some were left out: more seem to differ than one run looks at. Mend these, then compare again."
    if answer["equal"]:
        yield f"Equal. Digest, the same for every index of these documents and passages: {answer['digest']['heads']} {answer['digest']['passages']}"


def _tables(answer: Mapping[str, Any]) -> Iterator[Table]:
    from rich.table import Table

    from spanstream.standalone.audit.verdicts import MEANINGS, Kind

    if not answer["kinds"]:
        return
    kinds = Table("Difference", "Documents", "What it means")
    for kind, count in answer["kinds"].items():
        kinds.add_row(kind, f"{count:,}", MEANINGS[Kind(kind)])
    yield kinds
    rows = Table("Difference", "Document", "Log", "Index", "Detail")
    for each in answer["differences"][:ROWS]:
        name = output.line(f"{each['tenant']}/{each['source']}/{each['id']}")
        rows.add_row(each["kind"], name, _version(each["logged"]), _version(each["shown"]), each["detail"])
    yield rows


def _version(version: int | None) -> str:
    return "-" if version is None else str(version)
