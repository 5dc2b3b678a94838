"""The `spanstream` command: ingest, search, status, delete, sources, and what plug-ins add."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer

from spanstream.client import config, explained, files, output
from spanstream.client.client import Client
from spanstream.client.errors import (
    Invalid,
    NotFound,
    NotSettled,
    Refused,
    SpanstreamError,
    Unauthorised,
    Unreachable,
    Unusable,
)
from spanstream.client.options import SearchOptions
from spanstream.client.results import Failure, Progress, Report

FAILED, USAGE, UNREACHABLE, REFUSED = 1, 2, 3, 4
INTERRUPTED = 130  # as a shell says it of Ctrl-C
PLUGINS = "spanstream.commands"
FILTER_HELP = (
    """A condition as JSON: '{"field": "metadata.lang", "in": ["en"]}', also eq, gte, gt, lte, lt; '"""
    """{"all": [...]}', any, not combine them. Fields: source, id, metadata.NAME."""
)
FILTER = '{"field": "metadata.lang", "in": ["en"]}'
FilterJson = Annotated[str | None, typer.Option("--filter", metavar="JSON", help=FILTER_HELP)]
QueryWords = Annotated[list[str] | None, typer.Argument(help="What to look for, in words; several: all of them.")]
MissedWords = Annotated[list[str] | None, typer.Argument(help="What was looked for; several: all of them.")]
Without = Annotated[list[str] | None, typer.Option("--not", metavar="WORDS", help="None of that.")]
Like = Annotated[list[str] | None, typer.Option("--like", metavar="SOURCE/ID", help="More like this document.")]
Unlike = Annotated[list[str] | None, typer.Option("--unlike", metavar="SOURCE/ID", help="Nothing like this one.")]
BOOST = '{"factor": 2, "filter": {"field": "source", "eq": "news"}}'
BOOST_HELP = f"What counts for more, or for less with a factor below 1, as JSON: '{BOOST}'."
FACET_VALUES = 20  # shown of a field
SHOWN_SOURCES = 20  # of those that there are, where an unknown one was named

app = typer.Typer(
    name="spanstream",
    help="Ingest documents and search them, exact to the span.",
    epilog="Exit codes: 0 done; 1 done, and not as it should be: a document failed, something differs, lacks or remains; 2 wrong"
    " usage; 3 nothing answers there; 4 refused, with the reason; 130 Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Server address; default: SPANSTREAM_URL, else the local one. Its key: SPANSTREAM_API_KEY, else the saved one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Name = Annotated[str, typer.Argument(metavar="SOURCE/ID", help="The document; with --source its id alone.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Its source, where the id is given alone.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spanstream {version('spanstream-client')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders, or - for NDJSON on stdin.")],
    source: Annotated[
        str | None, typer.Option("--source", help="Source to put them in; default: the folder's name.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until everything is searchable.")] = True,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ingest files and folders; the bar counts the documents that are searchable.

    Text, Markdown, HTML, PDF and DOCX files are documents whose id is the path below the folder. Each line of a .jsonl
    or .ndjson file is a document: a JSON object with id (or _id), title, text and any metadata. Hidden files are left out.
    """
    out, err = output.consoles()
    report, skipped, sources = Report(Progress()), Counter[str](), list[str]()
    with _connect(url) as client:
        for number, name in enumerate(paths, 1):
            chosen, items, total = _open(name, source, prefix=source is not None and len(paths) > 1, skipped=skipped)
            sources.append(chosen)
            if total == 0:
                kinds = " ".join(sorted(files.TEXT.keys() | files.BINARY.keys() | files.RECORDS))
                err.print(f"nothing to ingest in {name}; these are looked for: {kinds}", markup=False, style="yellow")
            with output.IngestProgress(err, chosen, total, quiet=as_json) as bar:
                try:
                    report = _add(report, client.ingest(chosen, items, wait=wait, on_progress=bar))
                except KeyboardInterrupt:
                    count = report.counts.accepted + bar.counts.accepted
                    whole = number == len(paths) and bar.counts.accepted == total
                    err.print(_interrupted(count, whole=whole), markup=False, style="yellow")
                    raise typer.Exit(INTERRUPTED) from None
    if as_json:
        output.write_json({"counts": report.counts, "skipped": skipped, "failures": report.failures})
    else:
        out.print(f"{', '.join(dict.fromkeys(sources))}: {_summary(report.counts, wait)}", markup=False)
        if skipped:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(8))
            err.print(f"skipped {skipped.total()} files of other types: {kinds}", markup=False, style="dim")
        err.print(output.failures(report.failures, report.counts.failed)) if report.counts.failed else None
    raise typer.Exit(FAILED if report.counts.failed else 0)


@app.command()
def search(
    query: QueryWords = None,
    without: Without = None,
    like: Like = None,
    unlike: Unlike = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many documents.")] = 5,
    mode: Annotated[str | None, typer.Option("--mode", help="hybrid (default), dense, spans or lexical.")] = None,
    source: Annotated[list[str] | None, typer.Option("--source", help="Only these sources.")] = None,
    filter: FilterJson = None,
    rerank: Annotated[
        str | None,
        typer.Option("--rerank", metavar="STAGE", help="Score the best passages again: late, cross or blend."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each hit has its score and rank.")] = False,
    facet: Annotated[
        list[str] | None, typer.Option("--facet", metavar="FIELD", help="Count its values: source, metadata.NAME.")
    ] = None,
    boost: Annotated[list[str] | None, typer.Option("--boost", metavar="JSON", help=BOOST_HELP)] = None,
    recent: Annotated[
        str | None,
        typer.Option(
            "--recent", metavar="FIELD=DAYS", help="Newer first: half-life by accepted_at or a date in metadata."
        ),
    ] = None,
    diversity: Annotated[
        float | None, typer.Option("--diversity", min=0, max=1, help="0 to 1: hits unlike each other.")
    ] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Go on behind an answer, with the same question.")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Search; the words that answer best are highlighted inside their passage."""
    asked = _query(query or [], without or [], like or [], unlike or [])
    condition = _object(filter, "--filter", FILTER) if filter else None
    boosts = [_object(each, "--boost", BOOST) for each in boost or []]
    recency, facets = _recency(recent) if recent else None, dict.fromkeys(facet or [], FACET_VALUES)
    with _connect(url) as client:
        try:
            result = client.search(
                asked,
                limit=limit,
                mode=mode,
                sources=source,
                filter=condition,
                facets=facets,
                boosts=boosts,
                recency=recency,
                diversity=diversity,
                cursor=cursor,
                rerank={"stage": rerank} if rerank else None,
                explain=explain,
            )
        except Invalid as error:
            _check_sources(client, source or [])
            raise _as_typed(error, source, condition) from error
    if as_json:
        output.write_json(result)
    else:
        out, _ = output.consoles()
        out.print(output.hits(result, marks=not out.is_terminal))


@app.command("explain-miss")
def explain_miss(
    document: Annotated[str, typer.Argument(metavar="SOURCE/ID", help="The document that was missed.")],
    query: MissedWords = None,
    without: Without = None,
    like: Like = None,
    unlike: Unlike = None,
    version: Annotated[
        int | None, typer.Option("--version", min=0, help="The version missed, e.g. a receipt's.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many documents were asked for.")] = 5,
    mode: Annotated[str | None, typer.Option("--mode", help="hybrid (default), dense, spans or lexical.")] = None,
    source: Annotated[list[str] | None, typer.Option("--source", help="Only these sources.")] = None,
    filter: FilterJson = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say why a document is not among the hits of a search."""
    missed = _example(document, "SOURCE/ID")
    asked = _query(query or [], without or [], like or [], unlike or [])
    condition = _object(filter, "--filter", FILTER) if filter else None
    options = SearchOptions(limit=limit, mode=mode, sources=source, filter=condition)
    with _connect(url) as client:
        found = client.explain_miss(asked, missed["source"], missed["id"], version=version, **options)
    output.write_json(found) if as_json else output.consoles()[0].print(explained.miss(found))


@app.command()
def show(
    document: Name,
    source: SourceName = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Print the text of a document as the index holds it; with --json its passages and all their spans."""
    source, id = _named(document, source)
    with _connect(url) as client:
        found = client.content(source, id)
    output.write_json(found) if as_json else output.consoles()[0].print(output.document(found))


@app.command()
def status(
    document: Name,
    source: SourceName = None,
    version: Annotated[
        int | None,
        typer.Option("--version", min=0, help="Of this version, e.g. a receipt's; default: the newest known."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait up to a minute until it is settled.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say whether a document is pending, searchable, deleted or failed, and why."""
    source, id = _named(document, source)
    with _connect(url) as client:
        try:
            found = client.status(source, id, version=version, wait=60 if wait else None)
        except NotFound as error:
            what = "the index knows no such document: is the id right (`spanstream search` shows them as source/id)?"
            later = "" if wait else " If you have just sent it, try --wait."
            raise NotFound(error.status, what + later, error.fields, error.request_id) from error
    output.write_json(found) if as_json else output.consoles()[0].print(output.status_line(found))
    raise typer.Exit(FAILED if found.state == "failed" or (wait and not found.settled) else 0)


@app.command()
def delete(
    document: Name,
    source: SourceName = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until no search finds it.")] = True,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Delete a document; also one that the index does not know, since it may be on its way."""
    source, id = _named(document, source)
    known: bool | None = None
    with _connect(url) as client:
        if wait:
            try:
                known = client.status(source, id).state != "deleted"
            except NotFound:
                known = False
            except SpanstreamError:
                pass  # a question on the side: the delete goes out, whatever its answer
        receipt = client.delete(source, id)
        if wait:
            client.wait_searchable([receipt])
    if as_json:
        output.write_json({"receipt": receipt, "deleted": wait} | ({"known": known} if wait else {}))
        return
    out, err = output.consoles()
    out.print(
        f"{'deleted' if wait and known is not False else 'accepted'}  {output.clean(source)}/{output.clean(id)}",
        markup=False,
    )
    if known is False:
        err.print(
            "The index knew no such document. Is the id right? `spanstream search` shows ids as source/id.",
            style="yellow",
        )


@app.command()
def sources(url: Url = None, as_json: Json = False) -> None:
    """List the sources and their numbers of documents."""
    with _connect(url) as client:
        found = client.sources()
    output.write_json({"sources": found}) if as_json else output.consoles()[0].print(output.sources(found))


def main() -> None:
    """Run the command; errors are one line on standard error and an exit code."""
    for plugin in _needed(sys.argv[1:2]):
        try:
            command = plugin.load()
        except ModuleNotFoundError:
            if not plugin.extras:
                raise
            continue  # its extra is not installed
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=plugin.name)
        else:
            app.command(plugin.name)(command)
    try:
        app()
    except SpanstreamError as error:
        sys.stderr.write(f"spanstream: {output.clean(str(error))}{_advice(error)}\n")
        sys.exit(_exit_code(error))


def _needed(first: list[str]) -> list[EntryPoint]:
    """The plug-ins that a command line which begins so needs: reading all of them takes longer than a search."""
    plugins = entry_points(group=PLUGINS)
    if named := [plugin for plugin in plugins if plugin.name in first]:
        return named
    own = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return [] if own.intersection(first) else list(plugins)


@contextmanager
def _connect(url: str | None) -> Iterator[Client]:
    """A client; that its key is missing or wrong is told with what to do."""
    with Client(url) as client:
        try:
            yield client
        except Unauthorised as error:
            if error.status != 401:
                raise
            sent = client.connection.api_key is not None
            advice = config.why_wrong_key() if sent else config.why_no_key()
            raise Unauthorised(401, f"{error.detail}; {advice}", error.fields, error.request_id) from error


def _query(words: list[str], without: list[str], like: list[str], unlike: list[str]) -> str | dict[str, Any]:
    """The words alone, or all that is asked for as one set of meanings."""
    wanted: list[Any] = [*words, *({"like": _example(name, "--like")} for name in like)]
    if not wanted or not all(text.strip() for text in words):
        raise typer.BadParameter("say what to look for, in words or with --like", param_hint="QUERY")
    if not all(text.strip() for text in without):
        raise typer.BadParameter("say what is not to be found, in words", param_hint="--not")
    parts = [*wanted, *({"not": text} for text in without)]
    parts += [{"unlike": _example(name, "--unlike")} for name in unlike]
    return parts[0] if len(parts) == 1 else {"all": parts}


def _example(name: str, option: str) -> dict[str, str]:
    source, slash, id = name.partition("/")
    if not (source and slash and id):
        raise typer.BadParameter(f"name a document as SOURCE/ID, not {name}", param_hint=option)
    return {"source": source, "id": id}


def _named(document: str, source: str | None) -> tuple[str, str]:
    """Source and id of a document: one name, as a search shows it, or the id with its source beside it."""
    if source is not None:
        return source, document
    found = _example(document, "SOURCE/ID")
    return found["source"], found["id"]


def _object(text: str, option: str, example: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON, such as {example} ({error})", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"not a JSON object, such as {example}", param_hint=option)
    return value


def _recency(text: str) -> dict[str, Any]:
    field, _, days = text.partition("=")
    try:
        half_life = float(days)
        if not 0 < half_life < float("inf"):
            raise ValueError("no length of time")
        return {"field": field, "half_life_days": half_life}
    except ValueError as error:
        message = "not FIELD=DAYS, such as metadata.date=30 or accepted_at=7"
        raise typer.BadParameter(message, param_hint="--recent") from error


def _as_typed(error: Invalid, sources: list[str] | None, condition: dict[str, Any] | None) -> Invalid:
    """The same with the paths of what was typed: sources and a filter are sent as one filter, {"all": [sources, filter]}."""
    names = {"filter.all.0": "source", "filter.all.1": "filter"} if sources and condition else {}
    fields = []
    for field, wrong in error.fields:
        path = field.removeprefix("body.")
        inner = next((name for name in names if path == name or path.startswith(f"{name}.")), "")
        fields.append((names.get(inner, "") + path.removeprefix(inner), wrong))
    return Invalid(error.status, error.detail, fields, error.request_id)


def _check_sources(client: Client, named: list[str]) -> None:
    """Raise BadParameter if any of the named sources has no documents."""
    found = [source.name for source in client.sources()]
    if unknown := [name for name in named if name not in found]:
        there = f"there are: {', '.join(found[:SHOWN_SOURCES])}{' …' if found[SHOWN_SOURCES:] else ''}" if found else ""
        raise typer.BadParameter(
            f"no documents in {', '.join(unknown)}; {there or 'there is no document at all yet'}", param_hint="--source"
        )


def _exit_code(error: SpanstreamError) -> int:
    if isinstance(error, Refused) and error.status < 500 and error.status != 429:
        return REFUSED
    if isinstance(error, Unusable):
        return USAGE
    return FAILED if isinstance(error, NotSettled) else UNREACHABLE


def _advice(error: SpanstreamError) -> str:
    if isinstance(error, Unreachable):
        return "; start one with `spanstream up`, or name another with --url or SPANSTREAM_URL"
    return ""


def _open(
    name: str, source: str | None, *, prefix: bool, skipped: Counter[str]
) -> tuple[str, Iterable[Any], int | None]:
    """Source, items and number of documents behind one argument."""
    if name == "-":
        return source or "stdin", files.lines(sys.stdin.buffer, "stdin"), None
    path = Path(name)
    if not path.exists():
        raise typer.BadParameter(f"no such file or folder: {name}", param_hint="PATH")
    if not (path.is_file() or path.is_dir()):  # a pipe may never end
        raise typer.BadParameter(f"neither a file nor a folder: {name} (- is standard input)", param_hint="PATH")
    try:
        selection = files.select(path, prefix=prefix)
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint="PATH") from error
    skipped.update(selection.skipped)
    return source or files.source_name(path), selection.items(), selection.total()


def _summary(counts: Progress, wait: bool) -> str:
    taken, what = (counts.searchable, "searchable") if wait else (counts.accepted, "accepted")
    unchanged = f" ({counts.unchanged} of them unchanged)" if counts.unchanged else ""
    failed = f", {counts.failed} {'failed' if wait else 'refused'}" if counts.failed else ""
    return f"{taken} {what}{unchanged}{failed}"


def _interrupted(count: int, *, whole: bool) -> str:
    """What became of an ingest that Ctrl-C ended; `whole`: there was nothing left to send."""
    if whole:
        return f"everything was accepted, {count} in all, and becomes searchable all the same."
    later = ", and become searchable all the same" if count else ""
    return f"{count} documents were accepted for certain{later}; ingest the same again for the rest."


def _add(one: Report, other: Report) -> Report:
    """Two reports as one."""
    a, b = one.counts, other.counts
    counts = Progress(
        a.accepted + b.accepted, a.unchanged + b.unchanged, a.searchable + b.searchable, a.failed + b.failed
    )
    kept: tuple[Failure, ...] = one.failures + other.failures
    return Report(counts, kept)
