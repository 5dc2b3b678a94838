"""All services in one process: one log, one store, one encoder, one address for both APIs."""

# Modules that load the Kafka client, the index engine or the model are imported where they are needed: a target that
# does not use them does not pay for them, and broker and model start before the rest is read.
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder.encoder import Encoder
from spanstream.encoder.opening import open_encoder
from spanstream.encoder.reranker import Reranker
from spanstream.eventlog.access import OPEN, Access
from spanstream.events.segmenter import segmenter
from spanstream.runtime import admin
from spanstream.runtime.free_space import FreeSpace
from spanstream.runtime.http import HttpServer
from spanstream.runtime.service import Service, ThreadService
from spanstream.runtime.settings import AdminSettings, LogAccessSettings, Settings
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.loading import Ahead, LoadingEncoder
from spanstream.standalone.migration import record
from spanstream.standalone.migration.record import Recorded, Stage
from spanstream.standalone.migration.starting import filled_with, is_address, opener
from spanstream.standalone.parts import Closeable, Shared, Topics
from spanstream.standalone.trouble import Trouble
from spanstream.store.store import Store

if TYPE_CHECKING:
    from spanstream.eventlog.log import Log
    from spanstream.standalone.migration.side import Surroundings
    from spanstream.standalone.operations import Operation

MIGRATING = frozenset({"ingestor", "embedder", "indexer", "gateway"})  # what has to be in one process for it
TARGETS = ("ingestor", "embedder", "indexer", "gateway", "encoder")
IN_PROCESS = "inproc:"
EDGE = "edge:"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run where. `log_url` none: a local broker. `encoder_replicas` > 0: a Ray Serve with that many answers at
    `encoder_url`.

    `skip_lost`: go on behind records that the log has lost. `encoder_url` is IN_PROCESS, the model in this process, exactly if "encoder" is among the targets.
    """

    targets: frozenset[str]
    host: str
    port: int
    admin_port: int
    log_url: str | None
    store_url: str
    encoder_url: str
    skip_lost: bool = False
    encoder_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Composition:
    """Services in the order in which they start, and where they answer."""

    services: list[Service] = field(repr=False)
    url: str
    ingest_url: str
    admin_url: str
    log_url: str
    release: Callable[[], str]  # asks the encoder, once everything is ready


def settings(plan: Plan, folder: DataFolder, log_url: str) -> dict[str, Settings]:
    """The settings of every target: `plan` decides the addresses, the environment everything else. Raises SettingsError."""
    shared = {
        "LOG_URL": log_url,
        "STORE_URL": plan.store_url,
        "ENCODER_URL": plan.encoder_url,
        "BLOB_URL": f"file:{folder.blobs}",
        "AUTH_KEYS_FILE": str(folder.keys),
        "AUTH_AUDIT_FILE": os.environ.get("AUTH_AUDIT_FILE", str(folder.audit)),
        "http_host": plan.host,
        "http_port": plan.port,
        "cache_folder": folder.windows,
        "receipt_key_file": folder.receipt_key,
    }
    return {name: _read(name, shared) for name in TARGETS if name in plan.targets}


def _read(target: str, values: dict[str, Any]) -> Settings:
    """The target's settings, with those of `values` that they have."""
    member = "embedder" if target == "encoder" else target
    module = import_module(f"spanstream.{member}.settings")
    kind: type[Settings] = getattr(module, f"{target.capitalize()}Settings")
    names = {field.validation_alias or name for name, field in kind.model_fields.items()}
    return kind.read(**{name: value for name, value in values.items() if name in names})


def build(plan: Plan, folder: DataFolder, progress: Callable[[str], None]) -> Composition:
    """Make everything. Broker and model begin to load at once, in the background, while the rest is imported.

    Raises PortInUse, SettingsError, StoreCorrupt or Trouble; after that nothing runs any more.
    """
    recorded = record.read(folder.path)
    plan, model = _as_recorded(plan, filled_with(recorded))
    parts: list[Service] = []
    shown: list[Settings] = []
    admin_settings = AdminSettings.read(host=plan.host, port=plan.admin_port)
    # Both ports first: that one is taken is the commonest trouble, and nothing runs yet. The lists are filled below.
    http = HttpServer("api", plan.host, plan.port, title="Spanstream")
    early: list[Service] = [http]
    try:
        admin_server = admin.build(admin_settings, parts, shown)
        early.append(admin_server)
        log_url = plan.log_url
        first: list[Service] = []
        if log_url is None:
            from spanstream.standalone.broker import LocalBroker

            broker = LocalBroker(folder.kafka, progress=progress)
            log_url = broker.url
            first.append(Ahead(broker))
            early.append(broker)
        if plan.encoder_replicas:
            from spanstream.standalone.processes import replicated, writer

            first.append(replicated(plan, folder, writer(folder)))
        encoder: LoadingEncoder | None = None
        if "encoder" in plan.targets:
            encoder_settings = EncoderSettings.read(cache_folder=folder.windows, **model)
            encoder = LoadingEncoder(lambda: _load(encoder_settings))
            early.append(encoder)
        if "ingestor" in plan.targets:
            folder.make_receipt_key()
        configs = settings(plan, folder, log_url)
        services, resources = _services(plan, configs, folder, log_url, encoder, http, recorded)
    except BaseException:
        for service in reversed(early):
            service.stop(time.monotonic() + 5)
        raise
    parts += [*first, Shared(resources), *services, http]
    shown += configs.values()
    release = (lambda: encoder.info().release) if encoder is not None else release_at(plan.encoder_url)
    return Composition([*parts, admin_server], http.url, http.url, admin_server.url, log_url, release)


def _as_recorded(plan: Plan, encoder: str | None) -> tuple[Plan, dict[str, str]]:
    """The plan with the encoder that the index was moved to, if it was, and what that sets of the encoder's settings.

    Raises Trouble where that contradicts the plan.
    """
    if encoder is None:
        return plan, {}
    if plan.encoder_replicas:
        raise Trouble(
            f"The index was moved to {encoder}, which is loaded in this process.", "Start without --encoder-replicas."
        )
    if is_address(encoder):
        return replace(plan, targets=plan.targets - {"encoder"}, encoder_url=encoder), {}
    if Path(encoder).is_absolute() and not Path(encoder).exists():
        raise Trouble(
            f"The index was moved to {encoder}, which is not there any more.",
            "Put that release back there: no other one can read this index, whatever ENCODER_MODEL says.",
        )
    return replace(plan, targets=plan.targets | {"encoder"}, encoder_url=IN_PROCESS), {"model": encoder}


def log_access(plan: Plan) -> Access:
    """To the log that the plan names; our own broker is without TLS."""
    return LogAccessSettings.read().log_access if plan.log_url is not None else OPEN


def _services(
    plan: Plan,
    configs: dict[str, Any],
    folder: DataFolder,
    log_url: str,
    local: LoadingEncoder | None,
    http: HttpServer,
    recorded: Recorded,
) -> tuple[list[Service], list[Closeable]]:
    """The topics and the targets, consumers before producers, and what they share.

    An encoder in another process is nothing to share: each opens its own, with the limits in its own settings.
    """
    from spanstream.eventlog.opening import open_log

    log = open_log(log_url, log_access(plan))
    resources: list[Closeable] = [log]
    services: list[Service] = [Topics(log, skip_lost=plan.skip_lost)]
    space = _space(plan, configs, folder)
    home: Store | None = None  # shows what is live
    store: Store | None = None  # shows what the services fill
    if plan.targets & {"indexer", "gateway"}:
        from spanstream.store.opening import open_store

        own = configs.get("indexer") or configs["gateway"]
        store = home = open_store(plan.store_url, own.store_secret, own.store_ca_file)
        resources.append(home)
    from spanstream.gateway.live import Live

    live, indexing = Live(), threading.Lock()
    more: dict[str, Operation] = {}
    if home is not None and plan.targets >= MIGRATING:
        from spanstream.standalone.migration.handover import Handover
        from spanstream.standalone.migration.migrations import Migrations, operations

        store = home.beside()
        if (migration := recorded.migration) is not None:
            if migration.stage is Stage.RETIRED:
                services.append(Handover(folder.path, log, home, migration))
            else:
                live = Live("the generations of the index are not open yet")
        filling: Encoder = local if local is not None else open_encoder(plan.encoder_url)
        if local is None:
            resources.append(filling)
        records, around = record.InFolder(folder.path), _around(plan, configs, log, home)
        migrations = Migrations(records, around, store, filling, live, lambda: indexing)
        services.append(ThreadService("migrations", [migrations.run], unready=migrations.unready))
        more = operations(migrations)
    elif recorded.migration is not None:
        raise Trouble(
            f"The index is being moved to {recorded.migration.release}: that needs all services in one process.",
            "Start without --target and --processes, and let it end, or cancel it: spanstream migrate status.",
        )
    if "indexer" in plan.targets:
        from spanstream.indexer import service as indexer

        services.append(indexer.build(configs["indexer"], log=log, store=store, encoder=local, indexing=indexing))
    if "embedder" in plan.targets:
        from spanstream.embedder import service as embedder

        services.append(embedder.build(configs["embedder"], log=log, encoder=local, space=space))
    if local is not None:
        # After the embedder, hence stopped before it: it then gives a long batch back instead of finishing it, which
        # could take half a minute.
        services.append(local)
    if "ingestor" in plan.targets:
        from spanstream.ingestor import service as ingestor
        from spanstream.standalone.heads import StoreHeads
        from spanstream.standalone.holdings import StoreHoldings

        # Of the generation that the services fill: of that one the groups say whether anything is under way.
        heads = StoreHeads(store) if store is not None else None
        holdings = StoreHoldings(home) if home is not None else None
        services.append(
            ingestor.build(configs["ingestor"], log=log, heads=heads, holdings=holdings, http=http, space=space)
        )
    if "gateway" in plan.targets:
        from spanstream.gateway import service as gateway

        reranker = _reranker() if local is not None else None
        if reranker is not None:
            resources.append(reranker)
        services.append(
            gateway.build(configs["gateway"], store=store, encoder=local, reranker=reranker, http=http, live=live)
        )
    if home is not None:
        from spanstream.standalone import control
        from spanstream.standalone.operations import OPERATIONS

        services.append(control.service(folder.path, log, home, OPERATIONS | more))
    return services, resources


def _space(plan: Plan, configs: dict[str, Any], folder: DataFolder) -> FreeSpace | None:
    """What this process fills: files, its own log, the index in process. None: it takes no documents in."""
    if "ingestor" not in plan.targets:
        return None
    filled = [folder.blobs]
    filled += [folder.kafka] if plan.log_url is None else []
    filled += [index] if (index := _index_folder(plan)) else []
    return FreeSpace(filled, configs["ingestor"].min_free_bytes)


def _index_folder(plan: Plan) -> Path | None:
    """Of the engine in process; None: the index is on a server."""
    return Path(plan.store_url.removeprefix(EDGE)).expanduser() if plan.store_url.startswith(EDGE) else None


def _around(plan: Plan, configs: dict[str, Any], log: Log, home: Store) -> Surroundings:
    """What a migration makes the new generation with."""
    from spanstream.standalone.migration.room import Room
    from spanstream.standalone.migration.side import Surroundings

    own = configs["indexer"]
    load = opener(lambda model: _load(EncoderSettings.read(model=model)))
    room = Room(_index_folder(plan), configs["ingestor"].min_free_bytes)
    return Surroundings(
        log,
        home,
        configs["ingestor"],
        segmenter(own.spans),
        own.store_compression,
        own.vacuum_hours,
        load,
        room,
        own.replaces_generation,
        span_similarity=configs["embedder"].span_similarity,
    )


def release_at(url: str) -> Callable[[], str]:
    """Asks the encoder there."""

    def ask() -> str:
        from spanstream.encoder.opening import open_encoder

        encoder = open_encoder(url)
        try:
            return encoder.info().release
        finally:
            encoder.close()

    return ask


def _load(settings: EncoderSettings) -> Encoder:
    """The model in this process; importing torch alone takes seconds."""
    from spanstream.embedder.application import open_measured

    return open_measured(settings)


def _reranker() -> Reranker | None:
    """The cross-encoder in this process, where one is named."""
    settings = EncoderSettings.read()
    if settings.reranker is None:
        return None
    from spanstream.embedder.reranking import open_reranker

    return open_reranker(settings)
