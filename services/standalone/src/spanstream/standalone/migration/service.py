"""The migration of services in processes of their own, put together: one process beside them, while it lasts (decision 0033).

It is asked as a Spanstream in one process is, with `spanstream migrate` on its data folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.errors import EventLogError, Fatal, Retry
from spanstream.eventlog.log import Log
from spanstream.eventlog.opening import open_log
from spanstream.eventlog.provisioned import Provisioned
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import DOCUMENTS, FAILURES
from spanstream.gateway.live import Live
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.logs import get_logger
from spanstream.runtime.service import Service, ThreadService
from spanstream.standalone import control
from spanstream.standalone.migration.finishing import Finishing
from spanstream.standalone.migration.migrations import Migrations, operations
from spanstream.standalone.migration.record import InStore, MigrationRefused, Stage
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.settings import MigrationSettings
from spanstream.standalone.migration.side import Surroundings
from spanstream.standalone.operations import Operation
from spanstream.store.errors import StoreUnavailable
from spanstream.store.opening import open_store
from spanstream.store.store import Store
from spanstream.store.switching import Superseded, Switching

log = get_logger()


class Stopping(Exception):
    """The process ends in the middle of something; the next one begins that anew."""


NAME = "migration"
AGAIN_SECONDS = 2.0  # after something did not answer
VACUUM_HOURS = 24.0  # which a server does not ask for
_ASKED = ("plan", "apply", "status", "rollback", "cancel")


class Moving:
    """What its thread does, from the first look at what is on record to the end. `ended` is set by it."""

    def __init__(
        self,
        settings: MigrationSettings,
        around: Surroundings,
        home: Store,
        encoder: Encoder,
        ended: threading.Event,
    ) -> None:
        """`home` shows what is live; `encoder`: of the services."""
        self._settings, self._around, self._home, self._encoder = settings, around, home, encoder
        self._ended, self.over = ended, False  # over: there is nothing left to do
        self._lock = threading.Lock()  # one thing is asked at a time
        self._waits_for = "the index is not open yet"
        self._switching: Switching | None = None
        self._part: Migrations | Finishing | None = None

    def run(self, stop: threading.Event) -> None:
        """Until the migration is over, or `stop`. Raises what must end the process."""
        while not stop.is_set():
            try:
                run = self._begun(stop)
            except (EncoderError, StoreUnavailable, EventLogError) as error:
                self._wait(error)
                stop.wait(AGAIN_SECONDS)
                continue
            except Stopping:
                return
            self._waits_for = ""
            try:
                run(stop)
            except Stopping:
                return
            finally:
                self._let_go()
            if not stop.is_set():
                self.over = True
                self._ended.set()
            return

    def _begun(self, stop: threading.Event) -> Callable[[threading.Event], None]:
        """What is to be done now, once nobody else is at it."""
        info = self._encoder.info()
        generation = self._around.generation(self._encoder)
        shared = self._home.beside()
        shared.open_live()

        def sleep(seconds: float) -> None:
            if stop.wait(seconds):  # a wait that was cut short would be none
                raise Stopping

        self._switching = switching = Switching(shared, sleep=sleep)
        switching.begin()
        self._waits_for = "a process that moved the index before may still be at it"
        switching.alone()
        around = replace(self._around, ours=partial(_ours, switching), unable=switching.unable)
        records = InStore(switching)
        migration = records.read().migration
        if migration is None and self._home.live() != generation.name:
            raise StoreUnavailable(
                f"the live index is {self._home.live()}, and the encoder at ENCODER_URL is {info.release}: it is not what the"
                " services have"
            )
        if self._settings.next_encoder_url == self._settings.encoder_url:
            self._part = finishing = Finishing(records, around, self._encoder)
            return finishing.run
        store = self._home.beside()
        made = Migrations(records, around, store, self._encoder, Live(), switching.writers, switching.searches)
        self._part = made

        def run(stop: threading.Event) -> None:
            beginner = threading.Thread(target=self._begin, args=(made, stop), name="migration-begin", daemon=True)
            beginner.start()
            made.run(stop)
            beginner.join()

        return run

    def _begin(self, migrations: Migrations, stop: threading.Event) -> None:
        """What the settings say of a migration that is not over yet; what is on record goes on by itself."""
        given = {name: getattr(self._settings, name) for name in ("rate", "overlap", "success_drop")}
        while self._settings.begin and not stop.wait(AGAIN_SECONDS):
            if migrations.unready():
                continue
            try:
                with self._lock:
                    now = migrations.both.recorded.migration
                    if now is None or now.stage is Stage.FILLING:
                        migrations.apply(self._settings.next_encoder_url, given)
                self._waits_for = ""
                return
            except (EncoderError, StoreUnavailable, EventLogError, MigrationRefused) as error:
                self._wait(error)
            except (Superseded, Stopping):  # which the other thread finds out as well
                return

    def _let_go(self) -> None:
        """The next process need not wait for this one."""
        try:
            if self._switching is not None:
                self._switching.end()
        except StoreUnavailable as error:  # it waits, then
            log.warning("migration_not_let_go", detail=str(error))

    def _wait(self, error: Exception) -> None:
        self._waits_for = str(error)
        log.warning("migration_waits", detail=self._waits_for)

    def unready(self) -> list[str]:
        """What it waits for."""
        if self._waits_for:
            return [self._waits_for]
        return self._part.unready() if self._part else []

    def asked(self) -> dict[str, Operation]:
        """What can be asked of it."""
        return {f"migrate {what}": self._operation(what) for what in (*_ASKED, "retire")}

    def _operation(self, what: str) -> Operation:
        def done(events: Log, store: Store, options: Any, progress: Any) -> dict[str, Any]:
            if not isinstance(self._part, Migrations):
                raise MigrationRefused("; ".join(self.unready()) or "it is over")
            if what == "retire":
                raise MigrationRefused(
                    "the services have the old release's encoder: give them the new one's (ENCODER_URL; of the chart"
                    " global.index.encoder), which ends the migration"
                )
            if options.get("bridge"):
                raise MigrationRefused("a bridge is for services in one process: apply without it")
            with self._lock:
                told = operations(self._part)[f"migrate {what}"](events, store, options, progress)
            if what == "cancel":
                self.over = True
                self._ended.set()
            return told

        return done


def _ours(switching: Switching) -> None:
    """For the loop that fills the new generation."""
    try:
        switching.ours()
    except StoreUnavailable as error:
        raise Retry(AGAIN_SECONDS, f"store: {error}") from error
    except Superseded as error:
        raise Fatal(str(error)) from error


def build(
    settings: MigrationSettings, folder: Path, ended: threading.Event
) -> tuple[list[Service], Callable[[], bool]]:
    """The services, and whether the migration is over. `folder`: for the socket that it is asked over. `ended` is set then."""
    ingestor = IngestorSettings.read(LOG_URL=settings.log_url, BLOB_URL=settings.blob_url)
    folder.mkdir(parents=True, exist_ok=True)
    events = open_log(settings.log_url, settings.log_access)
    key = settings.store_api_key
    home = open_store(settings.store_url, key.get_secret_value() if key else None, settings.store_ca_file)
    encoder = open_encoder(settings.encoder_url)

    def opened(url: str) -> Encoder:
        try:
            return open_encoder(url, in_flight=2 * settings.loops)
        except ValueError as error:
            raise MigrationRefused(f"{url} is no encoder's address: services share one, as http://host:port") from error

    around = Surroundings(
        events,
        home,
        ingestor,
        segmenter(settings.spans),
        settings.store_compression,
        VACUUM_HOURS,
        opened,
        Room(None, 0),
        loops=settings.loops,
    )
    moving = Moving(settings, around, home, encoder, ended)
    provisioned = Provisioned(events, [DOCUMENTS, FAILURES])

    def close() -> None:
        encoder.close()
        home.close()
        events.close()

    services: list[Service] = [
        ThreadService(NAME, [moving.run], unready=lambda: [*provisioned.unready(), *moving.unready()], closed=close),
        control.service(folder, events, home, moving.asked()),
    ]
    return services, lambda: moving.over
