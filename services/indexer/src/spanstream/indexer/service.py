"""The indexer put together: the only place where its objects meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.intervals import COMMIT_SECONDS
from spanstream.eventlog.log import Log
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.opening import open_log
from spanstream.eventlog.provisioned import Provisioned, used_by
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import EMBEDDINGS, FAILURES
from spanstream.indexer.drift import Drift
from spanstream.indexer.housekeeping import flushed, maintain
from spanstream.indexer.opening import Opening
from spanstream.indexer.retention import Retention, parse_retention
from spanstream.indexer.settings import IndexerSettings
from spanstream.indexer.sweeping import Sweeper
from spanstream.runtime import logs
from spanstream.runtime.consumer import ConsumerObserver
from spanstream.runtime.rehearsal import Rehearsal
from spanstream.runtime.service import Service, ThreadService
from spanstream.store.errors import StoreRejected, StoreUnavailable
from spanstream.store.opening import open_store
from spanstream.store.store import Store

GROUP = "indexer"
LIVE_SECONDS = 120.0  # without a poll it hangs: a poll takes about a second of a slow store


def build(
    settings: IndexerSettings,
    *,
    log: Log | None = None,
    store: Store | None = None,
    encoder: Encoder | None = None,
    indexing: threading.Lock | None = None,
) -> Service:
    """The indexer. What it is not given it makes from `settings`, and closes at the end; the encoder only names itself.

    `indexing` is held while records are handled: whoever else holds it sees an index that nothing is written to.
    """
    owned: list[Log | Store | Encoder] = []
    if log is None:
        owned.append(log := open_log(settings.log_url, settings.log_access))
    home: Store | None = None
    if store is None:
        owned.append(home := open_store(settings.store_url, settings.store_secret, settings.store_ca_file))
        store = home.beside()
    if encoder is None:
        owned.append(encoder := open_encoder(settings.encoder_url))

    opening = Opening(
        store,
        encoder,
        segmenter(settings.spans),
        settings.store_compression,
        settings.standing_seconds,
        indexing or threading.Lock(),
        settings.replaces_generation,
        home,
    )
    consumer = log.consumer(GROUP, [EMBEDDINGS.name, FAILURES.name], max_records=settings.max_poll_records)

    provisioned = Provisioned(log, used_by(GROUP))

    edge = settings.store_url.startswith("edge:")
    rehearsal = Rehearsal("spanstream.indexer.rehearsing", {"edge": edge})
    loop = Loop(
        GROUP,
        consumer,
        log.producer(),
        opening,
        observer=ConsumerObserver(GROUP),
        flush=flushed(store),
        commit_seconds=COMMIT_SECONDS,
        survives=rehearsal.survives,
    )

    def keep_house(stop: threading.Event) -> None:
        while not stop.wait(settings.maintenance_seconds):
            if opening.done:
                maintain(store, stop, settings.vacuum_hours)

    def now_us() -> int:
        return time.time_ns() // 1000

    deletes = log.producer()
    retention = Retention(
        store.retention(),
        log,
        deletes,
        now_us,
        sources=parse_retention(settings.source_retention_days),
        backup_days=settings.backup_days,
        limit=settings.expiry_documents,
    )

    sweeper = Sweeper(store, opening.lock, now_us, settings.expiry_documents)

    def expire(stop: threading.Event) -> None:
        while not stop.wait(settings.expiry_seconds):
            if opening.done:
                _tried(retention.step, "expiry_failed")
                _tried(sweeper.step, "expiry_failed")

    drift = Drift(store, now_us, Random())

    def watch(stop: threading.Event) -> None:
        while not stop.wait(settings.drift_seconds):
            if opening.done:
                _tried(drift.step, "drift_unknown")

    def close() -> None:
        deletes.close()
        for each in [rehearsal, *owned]:
            each.close()

    return ThreadService(
        "indexer",
        [opening.run, loop.run, keep_house, expire, watch],
        live=lambda: loop.live(LIVE_SECONDS),
        unready=lambda: [*(provisioned.unready() or loop.unready()), *opening.unready()],
        closed=close,
    )


def _tried(step: Callable[[], object], event: str) -> None:
    """The next look does what this one did not."""
    try:
        step()
    except (StoreUnavailable, StoreRejected, EventLogError) as error:
        logs.get_logger().warning(event, detail=str(error))
