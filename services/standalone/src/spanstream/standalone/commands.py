"""What this package adds to the `spanstream` command. Everything heavy is imported only when a command runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import config as client_config
from spanstream.standalone.key_commands import app as keys  # noqa: F401 found here by its entry point
from spanstream.standalone.named_log import opened_log
from spanstream.standalone.options import Data, Json

if TYPE_CHECKING:
    from spanstream.standalone.composition import Plan

DEFAULT_TARGETS = "ingestor,embedder,indexer,gateway,encoder"

# Words of the help are cut where one is wider than its column: no long word without a space or a hyphen.
Targets = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="NAMES",
        show_default=False,
        help="Which services to run, separated by commas; default: ingestor, embedder, indexer, gateway, encoder.",
    ),
]
Port = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port of the API; 0 takes a free one.")
]
AdminPort = Annotated[
    int,
    typer.Option(
        "--admin-port", metavar="PORT", min=0, max=65535, envvar="ADMIN_PORT", help="Port of metrics and health."
    ),
]
LogUrl = Annotated[
    str | None,
    typer.Option("--log-url", metavar="URL", envvar="LOG_URL", help="kafka://host:port; default: a Kafka of our own."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store-url", metavar="URL", envvar="STORE_URL", help="A Qdrant server; default: the engine in this process."
    ),
]
EncoderUrl = Annotated[
    str | None,
    typer.Option(
        "--encoder-url",
        metavar="URL",
        envvar="ENCODER_URL",
        help="http://host:port; default: the model in this process.",
    ),
]
EncoderReplicas = Annotated[
    int,
    typer.Option(
        "--encoder-replicas",
        metavar="NUMBER",
        min=0,
        show_default=False,
        help="Run the model in so many processes of a local Ray Serve; default: in this process.",
    ),
]


def up(
    target: Targets = DEFAULT_TARGETS,
    data: Data = None,
    port: Port = 8700,
    admin_port: AdminPort = 9464,
    log_url: LogUrl = None,
    store_url: StoreUrl = None,
    encoder_url: EncoderUrl = None,
    encoder_replicas: EncoderReplicas = 0,
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Ingest Python's own documentation at the first start.")
    ] = True,
    processes: Annotated[
        bool, typer.Option("--processes", help="A process for each service; needs --store-url of a Qdrant server.")
    ] = False,
    skip_lost: Annotated[
        bool, typer.Option("--skip-lost", help="Go on behind events that expired before they were processed.")
    ] = False,
    log_to: Annotated[
        str, typer.Option("--log-to", metavar="WHERE", help="file (in the data folder) or stderr.")
    ] = "file",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the addresses as JSON once everything is ready.")
    ] = False,
) -> None:
    """Run everything on this machine: Kafka, the services, the index and the model. Ctrl-C stops it.

    The first start ingests the documentation of Python's standard library, so that there is something to search.
    """
    began = time.monotonic()
    if log_to not in ("file", "stderr"):
        raise typer.BadParameter("file or stderr", param_hint="--log-to")
    from spanstream.standalone import composition
    from spanstream.standalone import processes as children
    from spanstream.standalone.folder import DataFolder
    from spanstream.standalone.up import up as start

    folder = DataFolder(data or client_config.data_folder())
    plan = _plan(folder.path, target, port, admin_port, log_url, store_url, encoder_url, skip_lost, encoder_replicas)
    build = children.build if processes else composition.build
    code = start(
        plan,
        folder,
        build,
        with_samples=samples,
        logs_to_stderr=log_to == "stderr",
        as_json=as_json,
        began=began,
    )
    raise typer.Exit(code)


topics = typer.Typer(help="The topics of the registry, on the log at LOG_URL.", no_args_is_help=True)


@topics.command("list")
def list_topics(log_url: LogUrl = None, as_json: Json = False) -> None:
    """List the registered topics, and how many records each holds now."""
    from spanstream.events.topics import ALL

    with opened_log(log_url) as log:
        rows = []
        for topic in ALL:
            ends = log.end_offsets(topic.name)
            rows.append({"name": topic.name, "partitions": len(ends), "records": sum(ends.values())})
    _show(rows, as_json)


@topics.command("create")
def create_topics(
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", metavar="NUMBER", min=1, help="Of each; they cannot be added later. Default: 6."),
    ] = None,
    log_url: LogUrl = None,
    as_json: Json = False,
) -> None:
    """Create the registered topics that are missing; those that exist are left as they are.

    All must have as many partitions as one another: else exit code 4.
    """
    from spanstream.events.topics import ALL
    from spanstream.ingestor.topics import create

    with opened_log(log_url) as log:
        created = create(log, partitions)
    _show([{"name": topic.name, "created": topic.name in created} for topic in ALL], as_json)


@topics.command("skip")
def skip_lost_records(
    group: Annotated[str, typer.Argument(help="A consumer group: ingestor, embedder or indexer.")],
    log_url: LogUrl = None,
    as_json: Json = False,
) -> None:
    """Let a stopped group go on behind records that expired before it read them.

    Documents whose events were lost have to be ingested again.
    """
    with opened_log(log_url) as log:
        moved = log.skip_lost(group)
    rows = [{"name": topic, "partition": partition, "lost": lost} for (topic, partition), lost in moved.items()]
    if not rows and not as_json:
        typer.echo(f"Group {group} has lost nothing.")
        return
    _show(rows, as_json)


def config(
    target: Targets = DEFAULT_TARGETS,
    data: Data = None,
    log_url: LogUrl = None,
    store_url: StoreUrl = None,
    encoder_url: EncoderUrl = None,
    diff: Annotated[bool, typer.Option("--diff", help="Only what differs from the defaults.")] = False,
    as_json: Json = False,
) -> None:
    """Print the effective settings that `spanstream up` would use in this environment, secrets redacted."""
    from spanstream.runtime.settings import AdminSettings, SettingsError
    from spanstream.standalone import composition
    from spanstream.standalone.folder import DataFolder

    folder = DataFolder(data or client_config.data_folder())
    plan = _plan(folder.path, target, 8700, 9464, log_url, store_url, encoder_url)
    try:
        found = composition.settings(plan, folder, log_url or "kafka://127.0.0.1:0")
        shown = {name: each.shown(changed_only=diff) for name, each in found.items()}
        shown["admin"] = AdminSettings.read(host=plan.host).shown(changed_only=diff)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    for name, values in shown.items():
        typer.echo(f"# {name}")
        for variable, value in values.items():
            typer.echo(f"{variable}={'' if value is None else value}")


def _plan(
    folder: Path,
    target: str,
    port: int,
    admin_port: int,
    log_url: str | None,
    store_url: str | None,
    encoder_url: str | None,
    skip_lost: bool = False,
    encoder_replicas: int = 0,
) -> Plan:
    from spanstream.standalone.composition import IN_PROCESS, TARGETS, Plan

    targets = frozenset(name.strip() for name in target.split(",") if name.strip())
    if unknown := targets - set(TARGETS):
        raise typer.BadParameter(f"no such service: {', '.join(sorted(unknown))}", param_hint="--target")
    if "encoder" not in targets and encoder_url is None and targets & {"embedder", "indexer", "gateway"}:
        raise typer.BadParameter("without the encoder among them, --encoder-url must name one", param_hint="--target")
    if port and port == admin_port:  # both could be bound, and one of them would answer for both
        raise typer.BadParameter(f"{port} is the port of the API (--port); name another", param_hint="--admin-port")
    if encoder_replicas:
        if encoder_url is not None or "encoder" not in targets:
            raise typer.BadParameter(
                "the encoder must be among the services of this machine", param_hint="--encoder-replicas"
            )
        encoder_url = _replicas_url()
    return Plan(
        targets=targets - ({"encoder"} if encoder_url else set()),
        host="127.0.0.1",
        port=port,
        admin_port=admin_port,
        log_url=log_url,
        store_url=store_url or f"edge:{folder / 'index'}",
        encoder_url=encoder_url or IN_PROCESS,
        skip_lost=skip_lost,
        encoder_replicas=encoder_replicas,
    )


def _replicas_url() -> str:
    """Where the Ray Serve of this machine will answer for the first model of ENCODER_MODEL."""
    from spanstream.embedder.settings import DeploymentSettings
    from spanstream.runtime.settings import SettingsError
    from spanstream.standalone.ports import free_port

    try:
        route = next(iter(DeploymentSettings.read().routes))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    return f"http://127.0.0.1:{free_port()}/{route}"


def _show(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo("  ".join(f"{name} {value}" if name != "name" else f"{value:16}" for name, value in row.items()))
