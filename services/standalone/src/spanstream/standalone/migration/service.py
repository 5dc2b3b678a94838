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
from spanstream.runtime.logs import frames, get_logger
from spanstream.runtime.service import Service, ThreadService
from spanstream.standalone import control
from spanstream.standalone.migration.finishing import Finishing
from spanstream.standalone.migration.migrations import Migrations, operations
from spanstream.standalone.migration.record import InStore, MigrationRefused, Stage
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.settings import MigrationSettings
from spanstream.standalone.migration.side import Surroundings
from spanstream.standalone.operations import Operation
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.opening import open_store
from spanstream.store.store import Store
from spanstream.store.switching import Superseded, Switching

log = get_logger()


class Stopping(Exception):
    """The process ends in the middle of something; the next one begins that anew."""


NAME = "migration"
AGAIN_SECONDS = 2.0  # after something did not answer
SUPERSEDED_SECONDS = 300.0  # until one ends that was taken over from: restarted at once, it would take over in its turn
VACUUM_HOURS = 24.0  # which a server does not ask for
_GIVEN = ("rate", "overlap", "success_drop")  # by the settings
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
        self._opened: list[Store] = []
        self._part: Migrations | Finishing | None = None

    def run(self, stop: threading.Event) -> None:
        """Until the migration is over, or `stop`. Raises what must end the process."""
        try:
            self._run(stop)
        except Stopping:
            return
        except (Superseded, Fatal) as error:
            if not isinstance(error, Superseded) and not isinstance(error.__cause__, Superseded):
                raise
            self._part = None  # nothing can be asked of it any more
            self._wait(f"{error}. This one ends in {SUPERSEDED_SECONDS:g} s, so that the other one gets on")
            if not stop.wait(SUPERSEDED_SECONDS):
                raise

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                run = self._begun(stop)
                self._waits_for = ""
                run(stop)
            except Fatal:
                raise
            except (EncoderError, StoreError, EventLogError, MigrationRefused) as error:
                self._part = None
                self._wait(str(error))
            else:
                if not stop.is_set():
                    self._end()
                return
            finally:
                self._let_go()
            stop.wait(AGAIN_SECONDS)

    def _end(self) -> None:
        self.over = True
        self._ended.set()

    def _begun(self, stop: threading.Event) -> Callable[[threading.Event], None]:
        """What is to be done now, once nobody else is at it."""
        shared = self._beside()
        shared.open_live()
        self._home.open_live()  # where the process before has switched, nothing here opens it

        def sleep(seconds: float) -> None:
            if stop.wait(seconds):  # a wait that was cut short would be none
                raise Stopping

        switching = Switching(shared, sleep=sleep)
        records = InStore(switching)
        self._check(records)  # to one that can do nothing nobody need give way
        self._switching = switching
        switching.begin()
        self._waits_for = "a process that moved the index before may still be at it"
        switching.alone()
        self._check(records)
        around = replace(self._around, ours=partial(_ours, switching), unable=switching.unable)
        if self._ends:
            self._part = finishing = Finishing(records, around, self._encoder)
            return finishing.run
        made = Migrations(records, around, self._beside(), self._encoder, Live(), switching.writers, switching.searches)
        self._part = made

        def run(stop: threading.Event) -> None:
            done = threading.Event()
            beginner = threading.Thread(target=self._begin, args=(made, done), name="migration-begin", daemon=True)
            beginner.start()
            try:
                made.run(stop)
            finally:
                done.set()
                beginner.join()

        return run

    def _beside(self) -> Store:
        """One that is closed with what is done now."""
        self._opened.append(store := self._home.beside())
        return store

    @property
    def _ends(self) -> bool:
        """Whether the services have the new release's encoder."""
        return self._settings.next_encoder_url == self._settings.encoder_url

    def _check(self, records: InStore) -> None:
        """Raise MigrationRefused where the services have an encoder that the index cannot be moved from."""
        migration, live = records.read().migration, self._home.live()
        if migration is None and live != self._around.generation(self._encoder).name:
            raise MigrationRefused(
                f"the live index is {live}, and the encoder at ENCODER_URL is {self._encoder.info().release}: it is not what"
                " the services have"
            )
        if migration is not None and migration.stage is Stage.RETIRED and not self._ends:
            raise MigrationRefused(
                "the old index is given up: give the services the new release's encoder (ENCODER_URL; of the chart"
                " global.index.encoder)"
            )

    def _begin(self, migrations: Migrations, done: threading.Event) -> None:
        """What the settings say of a migration that is not over yet; what is on record goes on by itself. And the end of the
        process, where that was to cancel it. An error that nobody knows ends the process too: the next one begins anew.
        """
        wanted = self._settings.begin
        while not done.wait(AGAIN_SECONDS):
            if migrations.unready():
                continue
            try:
                with self._lock:
                    if self._cancelled(migrations):
                        self._end()
                        return
                    if wanted:
                        self._apply(migrations)
                wanted, self._waits_for = False, ""
            except (EncoderError, StoreError, EventLogError, MigrationRefused) as error:
                self._wait(str(error))
            except (Superseded, Stopping):  # which the other thread finds out as well
                return
            except Exception as error:  # noqa: BLE001  a thread that ends in silence would leave a process that does nothing
                log.error("migration_not_begun", error=type(error).__name__, frames=frames(error))
                self._ended.set()
                return

    def _apply(self, migrations: Migrations) -> None:
        """What a person has asked for since the settings were last read stays, until these say something else."""
        now, given = migrations.both.recorded.migration, {name: getattr(self._settings, name) for name in _GIVEN}
        begun = now is not None and (now.stage not in (Stage.FILLING, Stage.REFUSED) or now.settings == given)
        if not begun:
            migrations.apply(self._settings.next_encoder_url, {**given, "settings": given})

    def _cancelled(self, migrations: Migrations) -> bool:
        """Whether what this process was to begin was cancelled: by itself, or by one that did not come to the end of it."""
        both = migrations.both
        if both.recorded.migration is not None or both.cancelled is None:
            return False
        new = self._around.open_encoder(self._settings.next_encoder_url)
        try:
            ours = self._around.generation(new).name == both.cancelled
        finally:
            new.close()
        if not ours:  # it was another one's, of before
            both.cancelled = None
        return ours

    def _let_go(self) -> None:
        """The next process need not wait for this one."""
        switching, self._switching = self._switching, None
        try:
            if switching is not None:
                switching.end()
        except StoreUnavailable as error:  # it waits, then
            log.warning("migration_not_let_go", detail=str(error))
        while self._opened:
            self._opened.pop().close()

    def _wait(self, why: str) -> None:
        self._waits_for = why
        log.warning("migration_waits", detail=self._waits_for)

    def unready(self) -> list[str]:
        """What it waits for, be it for a person."""
        part = self._part
        if self._waits_for or part is None:
            return [self._waits_for] if self._waits_for else []
        return part.unready() or (part.stuck() if isinstance(part, Migrations) else [])

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
            try:
                with self._lock:
                    told = operations(self._part)[f"migrate {what}"](events, store, options, progress)
            except (Superseded, Stopping) as error:  # the thread that does the work finds out too, and ends the process
                raise MigrationRefused(str(error) or "this process ends: ask the next one") from error
            if what == "cancel":
                self._end()
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
    home = open_store(settings.store_url, settings.store_secret, settings.store_ca_file)
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
        span_similarity=settings.span_similarity,
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
