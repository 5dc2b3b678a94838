"""`spanstream watch`: standing queries, and what they find. A plug-in of the command, as those of the services are."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from spanstream.client import output
from spanstream.client.cli import (
    FILTER,
    FilterJson,
    Json,
    Like,
    QueryWords,
    Unlike,
    Url,
    Without,
    _connect,
    _object,
    _query,
)
from spanstream.client.standing import Match, StandingQuery

app = typer.Typer(
    help="Save queries that every new document is matched with, and follow what they find.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The query's name: a-z, 0-9, '.', '_', '-'.")]


@app.command()
def add(
    name: Name,
    query: QueryWords = None,
    without: Without = None,
    like: Like = None,
    unlike: Unlike = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Score from which a document matches; default 0.5."),
    ] = None,
    filter: FilterJson = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Save a query, in place of any of that name. Documents that become searchable from then on are matched with it."""
    asked = _query(query or [], without or [], like or [], unlike or [])
    condition = _object(filter, "--filter", FILTER) if filter else None
    with _connect(url) as client:
        saved = client.standing_queries.save(name, asked, filter=condition, threshold=threshold)
    output.write_json(saved) if as_json else output.consoles()[0].print(f"saved  {saved.id}", markup=False)


@app.command(name="list")
def list_(url: Url = None, as_json: Json = False) -> None:
    """List the saved queries."""
    with _connect(url) as client:
        found = client.standing_queries.all()
    output.write_json({"queries": found}) if as_json else output.consoles()[0].print(_table(found))


@app.command()
def remove(name: Name, url: Url = None) -> None:
    """Delete a saved query."""
    with _connect(url) as client:
        client.standing_queries.delete(name)
    output.consoles()[0].print(f"removed  {output.clean(name)}", markup=False)


@app.command()
def follow(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this query alone.")] = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line and nothing else.")] = False,
) -> None:
    """Print what the saved queries find, as it comes, until Ctrl-C."""
    out, err = output.consoles()
    with _connect(url) as client:
        saved = {query.id for query in client.standing_queries.all()}  # which says at once that no server answers
        if name is not None and name not in saved:
            err.print(f"This key has saved no query {name!r}; following matches of one all the same.", style="yellow")
        err.print("Following; Ctrl-C ends it.", style="dim")
        try:
            for match in client.matches(name):
                if as_json:
                    sys.stdout.write(json.dumps(dataclasses.asdict(match), ensure_ascii=False) + "\n")
                    sys.stdout.flush()
                else:
                    out.print(line(match), soft_wrap=True)
        except KeyboardInterrupt:
            raise typer.Exit from None


def line(match: Match) -> Text:
    """One line for one match."""
    where = f"{output.clean(match.source)}/{output.clean(match.id)}"
    return Text.assemble(
        (output.clean(match.query), "bold"),
        (f"  {match.score:.3f}", "dim"),
        (f"  {where}", "cyan"),
        f"  {output.line(match.span.text)}",
    )


def _table(found: list[StandingQuery]) -> Table:
    table = Table("name", "query", box=None)
    table.add_column("threshold", justify="right")
    for query in found:
        waits = "" if query.active else "  (waits for the index)"
        table.add_row(Text(output.clean(query.id)), Text(_shown(query.query) + waits), f"{query.threshold:g}")
    return table


def _shown(query: Any) -> str:
    return output.line(query if isinstance(query, str) else json.dumps(query, ensure_ascii=False))
