"""One migration at a time, from the first event to the switch and back, while everything is answered and written.

Its service's thread brings it on:

    1 the generation that the services fill is open; the new one too, if that is the one that the store says is live
    2 searches are answered from that one
    3 with a migration on record, the new one is opened, if it is not yet, and kept current
    4 while it is being filled: over a bridge, if there is one, answers are already the new release's, from the old generation;
      once it is NEAR_SECONDS behind at most, compare; if it is good enough, switch

The switch: hold the services' indexer, so that nothing new is shown; wait until the new generation has all events that there
are; make it live in the store, durably; answer from it. So nobody who has seen a document's version meets an older one.
Back the same way, the other way round. What crashes at any point goes on from the record and from what the store says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

from spanstream.encoder.errors import EncoderError
from spanstream.eventlog.errors import EventLogError, Retry
from spanstream.events.topics import DOCUMENTS
from spanstream.gateway.live import Shown
from spanstream.runtime.logs import get_logger
from spanstream.standalone.migration import coverage, shadow
from spanstream.standalone.migration.generations import Generations
from spanstream.standalone.migration.record import Migration, MigrationRefused, Stage, usable
from spanstream.standalone.migration.side import Goal, Side
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import opened

log = get_logger()

LOOK_SECONDS = 0.5
REOPEN_SECONDS = 10.0  # after the new generation could not be opened
SWITCH_SECONDS = 10.0  # that documents may wait for the switch; then it is tried again later
NEAR_SECONDS = SWITCH_SECONDS / 2  # behind the log, which grows all the while: the switch waits for what is left
COVER_SECONDS = 30.0  # for documents that are on their way while both generations are compared


class _Stopping(Exception):
    """The process ends; the next one goes on."""


class Course:
    """Run by one thread."""

    def __init__(
        self, both: Generations, unwritten: Callable[[], AbstractContextManager[object]], look_seconds: float
    ) -> None:
        """Inside `unwritten` the services show nothing new in the generation that they fill. `look_seconds`: between two looks
        how far it is.
        """
        self._both, self._unwritten, self._look_seconds = both, unwritten, look_seconds
        self._open_at = 0.0  # not before
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Raises what must end the process: nobody would write the live generation any more."""
        self._stop = stop
        try:
            while not stop.is_set() and not self._began():
                stop.wait(self._look_seconds)
            while not stop.wait(self._look_seconds):
                with self._both.changing:
                    self._look()
        finally:
            if self._both.side is not None:
                self._both.side.stop()
                self._both.side.close()

    def _began(self) -> bool:
        """Steps 1 and 2; False where something does not answer yet."""
        around = self._both.around
        migration = self._both.read().migration
        try:
            if migration is not None:
                self._both.check(self._both.encoder, migration.old_generation, migration.old_release)
            info = self._both.encoder.info()
            if migration is None:  # what it is a view of becomes live, or that is refused
                opened(around.home, info, around.segmenter, around.compression, around.replaces)
            generation = opened(self._both.store, info, around.segmenter, around.compression)
            own = Shown(generation, self._both.store, self._both.encoder)
            if migration is None:
                self._both.live.show(None)
                self._both.own = own
                return True
            if around.home.generations().get(migration.generation):
                if self._both.side is None:
                    self._both.reopened(migration, own)
                self._both.show(migration.generation)
                if migration.stage is not Stage.RETIRED:
                    self._both.write(replace(migration, stage=Stage.SWITCHED, bridge=None))
            else:
                self._both.show(generation.name)
                if migration.stage is Stage.SWITCHED:  # a backup was restored
                    self._both.write(replace(migration, stage=Stage.ROLLED_BACK))
            self._both.own = own
        except (EncoderError, StoreUnavailable, EventLogError, OSError) as error:  # the last: no room for the record
            log.warning("generations_wait", detail=str(error))
            return False
        return True

    def _look(self) -> None:
        """Steps 3 and 4, unless another process moves the index now."""
        try:
            self._both.around.ours()
        except Retry as wait:
            log.warning("migration_waits", detail=str(wait))
            return
        migration, side = self._both.recorded.migration, self._both.side
        if migration is None:
            return
        if migration.stage is Stage.CANCELLED:
            self._go_on_cancelling(migration)
            return
        if side is None:
            if time.monotonic() >= self._open_at:
                self._try_again(migration)
            return
        if side.problem:
            try:
                if migration.stage is not Stage.RETIRED:  # from where there is no way back
                    self._give_way(migration, side)
            except (StoreUnavailable, OSError) as error:  # an outage, or no room: no reason to end the process
                log.warning("migration_waits", detail=str(error))
            return
        if migration.stage is not Stage.FILLING:
            return
        try:
            if self._both.switched(side):  # and what came after that was not done
                self._switch(side)
                return
            if not self._near(side):
                return
            self._both.check_gateways(side.shown.generation.name)
            report, good = self._compared(migration, side)
            self._both.write(replace(migration, report=report, stage=Stage.FILLING if good else Stage.REFUSED))
            if good:
                self._switch(side)
            else:
                self._both.cross(None)
        except (EncoderError, StoreError, EventLogError, OSError) as error:
            log.warning("migration_waits", detail=str(error))
        except MigrationRefused as error:  # what the new release broke off with while it was asked
            self._both.waits_for = str(error)
            log.warning("migration_waits", detail=str(error))
        except _Stopping:
            pass

    def _near(self, side: Side) -> bool:
        """Whether all that was in the log NEAR_SECONDS ago is in the new generation. Asked at every look."""
        goal, now = side.goal, time.monotonic()
        if goal is not None and side.progress.behind(goal.ends):
            return False
        side.goal = Goal(self._both.around.log.end_offsets(DOCUMENTS.name), now)
        return goal is not None and now - goal.set_at <= NEAR_SECONDS

    def _go_on_cancelling(self, migration: Migration) -> None:
        """What `Migrations.cancel` of this process, or of one before, could not end."""
        try:
            self._both.remove(migration)
        except (StoreError, OSError) as error:
            self._both.problem = f"the new generation is not removed yet: {error}"
            log.warning("migration_waits", detail=self._both.problem)

    def _give_way(self, migration: Migration, side: Side) -> None:
        """Nobody writes the new generation any more: the old one answers."""
        live = self._both.switched(side)
        if live:
            log.error("migration_goes_back", detail=side.problem)
            self._both.show(self._both.required().generation.name)
        if live or migration.stage is Stage.SWITCHED:  # as what could not be written down the last time says still
            self._both.write(replace(migration, stage=Stage.ROLLED_BACK))
        elif self._both.bridged is not None:
            self._both.cross(None)

    def _try_again(self, migration: Migration) -> None:
        """Open the new generation, which nobody is answered from: without it the old one goes on."""
        try:
            self._both.reopened(migration, self._both.required())
        except (EncoderError, StoreError, EventLogError, MigrationRefused, OSError) as error:
            self._both.problem = f"the new generation is not open: {error}"
            self._open_at = time.monotonic() + REOPEN_SECONDS
            log.warning("migration_waits", detail=str(error))

    def _compared(self, migration: Migration, side: Side) -> tuple[dict[str, Any], bool]:
        own, new = self._both.required(), side.shown
        covered = coverage.cover(own.store, new.store, COVER_SECONDS, sleep=self._pause)
        named = [key._asdict() for key in covered.named]
        report: dict[str, Any] = {"coverage": asdict(covered) | {"named": named}}
        if not covered.whole:
            return report, False
        asked = shadow.probes(own.store)
        with usable(migration.release):
            verdict = shadow.ask(asked, own, new)
            if self._both.bridged is not None:
                report["bridge"] = asdict(shadow.ask(asked, self._both.bridged, new))
        report["shadow"] = asdict(verdict)
        return report, verdict.good(migration.overlap, migration.success_drop)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopping

    def _switch(self, side: Side) -> None:
        log_ends = self._both.around.log.end_offsets
        with self._unwritten():
            ends, deadline = log_ends(DOCUMENTS.name), time.monotonic() + SWITCH_SECONDS
            while side.progress.behind(ends):
                if time.monotonic() >= deadline or side.problem:
                    log.warning("migration_switch_waits", detail="the new generation is too far behind")
                    return
                self._pause(0.01)
            side.shown.store.flush()
            self._both.show(side.shown.generation.name)
        assert self._both.recorded.migration is not None
        self._both.write(replace(self._both.recorded.migration, stage=Stage.SWITCHED, bridge=None))
