"""`spanstream plan`: what an installation needs, with the reason for each number. Nothing is started or asked."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanstream.client import output
from spanstream.standalone.planning import calibration as calibrations
from spanstream.standalone.planning import fragment, pricing
from spanstream.standalone.planning.capacity import plan
from spanstream.standalone.planning.workload import Unplannable, Workload
from spanstream.store.compression import Compression

if TYPE_CHECKING:
    from rich.table import Table

    from spanstream.standalone.planning.figures import Plan

app = typer.Typer(help="What an installation needs, before there is one (docs/capacity.md).", no_args_is_help=True)
_DEFAULT = Workload(documents=0, documents_per_second=0, queries_per_second=0)
# Of a workload's parts, where another name is shorter.
_OPTIONS = {
    "documents_per_second": "--document-rate",
    "queries_per_second": "--query-rate",
    "freshness_seconds": "--freshness",
    "gpu_tokens_per_second": "--gpu-tokens",
}


@app.command("capacity")
def capacity(
    documents: Annotated[float, typer.Option("--documents", metavar="NUMBER", help="Alive in the index; 1e9 will do.")],
    documents_per_second: Annotated[
        float, typer.Option("--document-rate", metavar="NUMBER", help="New and changed ones a second, on average.")
    ],
    queries_per_second: Annotated[
        float, typer.Option("--query-rate", metavar="NUMBER", help="Searches a second, on average.")
    ],
    tokens_per_document: Annotated[
        float, typer.Option("--tokens-per-document", metavar="NUMBER", help="Words are about three quarters of it.")
    ] = _DEFAULT.tokens_per_document,
    tenants: Annotated[int, typer.Option("--tenants", metavar="NUMBER", min=1, help="Of equal size.")] = 1,
    largest_tenant: Annotated[
        float | None,
        typer.Option("--largest-tenant", metavar="SHARE", help="Its share of all; default: one of --tenants."),
    ] = None,
    peak_factor: Annotated[
        float, typer.Option("--peak-factor", metavar="FACTOR", help="The busiest minutes over the average.")
    ] = _DEFAULT.peak_factor,
    log_days: Annotated[
        float, typer.Option("--log-days", metavar="DAYS", help="That documents.v1 is kept.")
    ] = _DEFAULT.log_days,
    file_bytes: Annotated[
        float, typer.Option("--file-bytes", metavar="BYTES", help="Of a document's file; 0: texts come inline.")
    ] = _DEFAULT.file_bytes,
    facts: Annotated[
        int, typer.Option("--facts", metavar="NUMBER", help="Values of a document's metadata.")
    ] = _DEFAULT.facts,
    freshness: Annotated[
        float, typer.Option("--freshness", metavar="SECONDS", help="Until 99 of 100 documents are searchable.")
    ] = _DEFAULT.freshness_seconds,
    availability: Annotated[
        float, typer.Option("--availability", metavar="SHARE", help="0.999: some nine hours a year without.")
    ] = _DEFAULT.availability,
    compression: Annotated[
        Compression, typer.Option("--compression", help="Of vectors in memory: STORE_COMPRESSION.")
    ] = _DEFAULT.compression,
    gpu_tokens_per_second: Annotated[
        float,
        typer.Option("--gpu-tokens", metavar="NUMBER", help="Of one GPU a second, measured; 0: on cores."),
    ] = _DEFAULT.gpu_tokens_per_second,
    node_memory_gib: Annotated[
        float, typer.Option("--node-memory-gib", metavar="GIB", help="Of a Qdrant node.")
    ] = _DEFAULT.node_memory_gib,
    node_cores: Annotated[
        float, typer.Option("--node-cores", metavar="NUMBER", help="Of a Qdrant node.")
    ] = _DEFAULT.node_cores,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", help="Of `plan calibrate`; default: the one that comes along."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help='JSON: {"currency": "EUR", "month": {"core": 20}}.'),
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Print values for the chart, below a comment on what they need.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Partitions, pods, GPUs, Qdrant nodes, memory, disk and network for a load, each with its reason."""
    if values and as_json:
        raise typer.BadParameter("one of them: the JSON has the values too", param_hint="--values, --json")
    try:
        workload = Workload(
            documents=_whole(documents, "documents"),
            documents_per_second=documents_per_second,
            queries_per_second=queries_per_second,
            tokens_per_document=tokens_per_document,
            largest_tenant=1 / tenants if largest_tenant is None else largest_tenant,
            peak_factor=peak_factor,
            log_days=log_days,
            file_bytes=_whole(file_bytes, "file_bytes"),
            facts=facts,
            freshness_seconds=freshness,
            availability=availability,
            compression=compression,
            gpu_tokens_per_second=gpu_tokens_per_second,
            node_memory_gib=node_memory_gib,
            node_cores=node_cores,
        )
        known = calibrations.read(calibration)
        found = plan(workload, known.costs)
        priced = pricing.read(prices) if prices else None
    except Unplannable as error:
        raise _refused(error) from error
    if values:
        typer.echo(fragment.text(fragment.values(found, workload)), nl=False)
    elif as_json:
        output.write_json(_report(workload, known, found, priced))
    else:
        _print(known, found, priced)


@app.command("calibrate")
def calibrate(
    results: Annotated[
        list[Path],
        typer.Argument(help="What `python -m tests.bench --only stages pipeline` wrote, in one file or two."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The calibration, for `plan capacity`.")],
) -> None:
    """Make a calibration from results that were measured on the machines to be planned for."""
    try:
        found = calibrations.from_results(results)
    except Unplannable as error:
        raise typer.BadParameter(str(error)) from error
    try:
        out.write_text(found.text())
    except OSError as error:
        raise typer.BadParameter(f"{out}: {error.strerror}", param_hint="--out") from error


def _whole(value: float, name: str) -> int:
    """As a count. Raises Unplannable."""
    if not value.is_integer():
        raise Unplannable(f"{name} must be a whole number, not {value:g}")
    return int(value)


def _refused(error: Unplannable) -> typer.BadParameter:
    """In the words of the command: the option, where the error begins with a part of the workload."""
    name, _, told = str(error).partition(" ")
    if name in {part.name for part in fields(Workload)}:
        return typer.BadParameter(told, param_hint=_OPTIONS.get(name, f"--{name.replace('_', '-')}"))
    return typer.BadParameter(str(error))


def _report(
    workload: Workload, known: calibrations.Calibration, found: Plan, priced: pricing.Prices | None
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "workload": asdict(workload),
        "calibration": {"provenance": dict(known.provenance), "costs": asdict(known.costs)},
        "partitions": found.partitions,
        "pods": [asdict(each) for each in found.pods],
        "figures": [asdict(each) for each in found.figures],
        "drivers": dict(found.drivers),
        "warnings": list(found.warnings),
        "values": fragment.values(found, workload),
    }
    if priced:
        report["month"] = {"currency": priced.currency, **pricing.costs(found.drivers, priced)}
    return report


def _print(known: calibrations.Calibration, found: Plan, priced: pricing.Prices | None) -> None:
    console, _ = output.consoles()
    console.print(_pods(found))
    console.print(_figures(found))
    costs = pricing.costs(found.drivers, priced) if priced else {}
    for name, amount in found.drivers.items():
        cost = f" = {costs[name]:,.2f} {priced.currency} a month" if priced and name in costs else ""
        console.print(f"cost driver {name}: {amount:,.1f}{cost}", markup=False)
    if priced:
        console.print(f"together {sum(costs.values()):,.2f} {priced.currency} a month", markup=False)
    for warning in found.warnings:
        console.print(f"Note: {warning}.", style="yellow", markup=False)
    told = "; ".join(f"{name} {value}" for name, value in known.provenance.items())
    console.print(f"Measured: {told}", style="dim", markup=False)


def _pods(found: Plan) -> Table:
    from rich.table import Table

    table = Table("pods", box=None)
    for name in ("usual", "peak", "cores", "GiB", "GPUs"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for each in found.pods:
        numbers = (each.usual, each.most, each.cores, each.memory_gib, each.gpus)
        table.add_row(each.service, *(f"{number:g}" for number in numbers), each.reason)
    return table


def _figures(found: Plan) -> Table:
    from rich.table import Table

    table = Table("", "figure", box=None)
    table.add_column("value", justify="right")
    table.add_column("why")
    for each in found.figures:
        shown = f"{each.value:,.0f}" if each.value >= 100 or float(each.value).is_integer() else f"{each.value:.3g}"
        table.add_row(each.area, each.name, f"{shown} {each.unit}".strip(), each.reason)
    return table
