"""One migration at a time, from the first event to the switch and back, while everything is answered and written.

Its service's thread brings it on:

    1 the generation that the services fill is open; the new one too, if that is the one that the store says is live
    2 searches are answered from that one
    3 with a migration on record, the new one is opened, if it is not yet, and kept current
    4 while it is being filled: over a bridge, if there is one, answers are already the new release's, from the old generation;
      once it is a look behind at most, compare; if it is good enough, switch

The switch: hold the services' indexer, so that nothing new is shown; wait until the new generation has all events that there
are; make it live in the store, durably; answer from it. So nobody who has seen a document's version meets an older one.
Back the same way, the other way round. What crashes at any point goes on from the record and from what the store says.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS
from spanstream.gateway.live import Live, Shown
from spanstream.runtime.logs import get_logger
from spanstream.standalone.audit.reading import Progress, silent
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.migration import coverage, record, shadow
from spanstream.standalone.migration.backfill import TOPICS
from spanstream.standalone.migration.bridged import bridged
from spanstream.standalone.migration.estimate import DOCUMENTS as ESTIMATED
from spanstream.standalone.migration.estimate import Estimate, estimate, vector_bytes
from spanstream.standalone.migration.record import Migration, MigrationRefused, Recorded, Stage
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.standalone.operations import Options, audit, backup, repair
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import Generation, opened
from spanstream.store.sampling import drawn
from spanstream.store.store import Store

log = get_logger()

LOOK_SECONDS = 0.5
REOPEN_SECONDS = 10.0  # after the new generation could not be opened
SWITCH_SECONDS = 10.0  # that documents may wait for the switch; then it is tried again later
COVER_SECONDS = 30.0  # for documents that are on their way while both generations are compared
GIVEN = ("rate", "overlap", "success_drop", "bridge")  # what a person may set of a migration
Told = dict[str, Any]


class _Stopping(Exception):
    """The process ends; the next one goes on."""


class Migrations:
    """Its methods are called by one thread at a time, beside that of `run`. They raise MigrationRefused, and what log, store
    and encoder do."""

    def __init__(
        self,
        folder: Path,
        around: Surroundings,
        store: Store,
        encoder: Encoder,
        indexing: AbstractContextManager[object],
        live: Live,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`store` and `encoder`: of the generation that the services fill; `indexing` is held while they write it.
        `look_seconds`: between two looks how far it is.
        """
        self._look_seconds = look_seconds
        self._folder, self._around, self._live = folder, around, live
        self._store, self._encoder, self._indexing = store, encoder, indexing
        self._recorded = Recorded()
        self._own: Shown | None = None
        self._side: Side | None = None
        self._problem = ""  # why there is none although a migration is on record
        self._open_at = 0.0  # not before
        self._bridged: Shown | None = None  # the generation that the services fill, asked by the new release
        self._goal: Mapping[int, int] | None = None  # the ends of the log at the last look
        self._changing = threading.RLock()
        self._stop = threading.Event()

    # --- The service's thread ---

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Raises what must end the process: nobody would write the live generation any more."""
        self._stop = stop
        try:
            while not stop.is_set() and not self._began():
                stop.wait(self._look_seconds)
            while not stop.wait(self._look_seconds):
                with self._changing:
                    self._look()
        finally:
            if self._side is not None:
                self._side.stop()
                self._side.close()

    def _began(self) -> bool:
        """Steps 1 and 2; False where something does not answer yet."""
        around = self._around
        self._recorded = record.read(self._folder)
        migration = self._recorded.migration
        try:
            if migration is not None:
                self._check(self._encoder, migration.old_generation, migration.old_release)
            info = self._encoder.info()
            if migration is None:  # what it is a view of becomes live, or that is refused
                opened(around.home, info, around.segmenter, around.compression, around.replaces)
            generation = opened(self._store, info, around.segmenter, around.compression)
            own = Shown(generation, self._store, self._encoder)
            if migration is None:
                self._live.show(None)
                self._own = own
                return True
            if around.home.generations().get(migration.generation):
                if self._side is None:
                    self._reopened(migration, own)
                self._show(migration.generation)
                if migration.stage is not Stage.RETIRED:
                    self._write(replace(migration, stage=Stage.SWITCHED))
            else:
                self._show(generation.name)
                if migration.stage is Stage.SWITCHED:  # a backup was restored
                    self._write(replace(migration, stage=Stage.ROLLED_BACK))
            self._own = own
        except (EncoderError, StoreUnavailable, EventLogError) as error:
            log.warning("generations_wait", detail=str(error))
            return False
        return True

    def _check(self, encoder: Encoder, generation: str, release: str) -> None:
        """Before anything is made for it."""
        if self._generation(encoder).name != generation:
            now = encoder.info().release
            changed = f"which is {now} now" if now != release else "and SPANS is another now"
            raise MigrationRefused(
                f"a migration is on record, and one of its encoders was {release}, {changed}. Put that back, and start with the"
                " ENCODER_MODEL and SPANS that there were"
            )

    def _opened(self, migration: Migration, own: Shown, encoder: Encoder) -> Side:
        side = Side(self._around, encoder, migration.group, own.store.heads, self._rate)
        self._side, self._goal, self._problem = side, None, ""
        side.start()
        return side

    def _opened_again(self, migration: Migration, own: Shown) -> Side:
        """With the encoder that is on record, and no other that may be in its place by now."""
        encoder = self._around.open_encoder(migration.encoder)
        try:
            self._check(encoder, migration.generation, migration.release)
            return self._opened(migration, own, encoder)
        except BaseException:
            encoder.close()
            raise

    def _reopened(self, migration: Migration, own: Shown) -> None:
        encoder = self._opened_again(migration, own).shown.encoder
        if migration.stage is Stage.FILLING and migration.bridge is not None:
            try:
                self._cross(self._over(migration.bridge, own, encoder))
            except MigrationRefused as error:  # the old release answers as before
                log.warning("migration_without_bridge", detail=str(error))

    def _look(self) -> None:
        """Steps 3 and 4."""
        migration, side = self._recorded.migration, self._side
        if migration is None:
            return
        if side is None:
            if time.monotonic() >= self._open_at:
                self._try_again(migration)
            return
        if side.problem:
            try:
                self._give_way(migration, side)
            except StoreUnavailable as error:  # an outage, which is no reason to end the process
                log.warning("migration_waits", detail=str(error))
            return
        if migration.stage is not Stage.FILLING:
            return
        try:
            goal, self._goal = self._goal, self._around.log.end_offsets(DOCUMENTS.name)
            if goal is None or side.progress.behind(goal):
                return
            report, good = self._compared(migration, side)
            self._write(replace(migration, report=report, stage=Stage.FILLING if good else Stage.REFUSED))
            if good:
                self._switch(side)
            else:
                self._cross(None)
        except (EncoderError, StoreError, EventLogError, OSError) as error:  # the last: no room for the record
            log.warning("migration_waits", detail=str(error))
        except _Stopping:
            pass

    def _give_way(self, migration: Migration, side: Side) -> None:
        """Nobody writes the new generation any more: the old one answers."""
        if self._switched(side):
            log.error("migration_goes_back", detail=side.problem)
            self._show(self._required().generation.name)
            self._write(replace(migration, stage=Stage.ROLLED_BACK))
        elif self._bridged is not None:
            self._cross(None)

    def _try_again(self, migration: Migration) -> None:
        """Open the new generation, which nobody is answered from: without it the old one goes on."""
        try:
            self._reopened(migration, self._required())
        except (EncoderError, StoreError, EventLogError, MigrationRefused) as error:
            self._problem = f"the new generation is not open: {error}"
            self._open_at = time.monotonic() + REOPEN_SECONDS
            log.warning("migration_waits", detail=str(error))

    def _compared(self, migration: Migration, side: Side) -> tuple[Told, bool]:
        own, new = self._required(), side.shown
        covered = coverage.cover(own.store, new.store, COVER_SECONDS, sleep=self._pause)
        named = [key._asdict() for key in covered.named]
        report: Told = {"coverage": asdict(covered) | {"named": named}}
        if not covered.whole:
            return report, False
        asked = self._probes(own)
        verdict = shadow.ask(asked, own, new)
        if self._bridged is not None:
            report["bridge"] = asdict(shadow.ask(asked, self._bridged, new))
        report["shadow"] = asdict(verdict)
        return report, verdict.good(migration.overlap, migration.success_drop)

    def _probes(self, own: Shown) -> list[shadow.Probe]:
        return shadow.probes(own.store, drawn(own.store, shadow.QUERIES, SystemRandom()))

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopping

    def _switch(self, side: Side) -> None:
        log_ends = self._around.log.end_offsets
        with self._indexing:
            ends, deadline = log_ends(DOCUMENTS.name), time.monotonic() + SWITCH_SECONDS
            while side.progress.behind(ends):
                if time.monotonic() >= deadline or side.problem:
                    log.warning("migration_switch_waits", detail="the new generation is too far behind")
                    return
                self._pause(0.01)
            side.shown.store.flush()
            self._show(side.shown.generation.name)
        assert self._recorded.migration is not None
        self._write(replace(self._recorded.migration, stage=Stage.SWITCHED))

    def _over(self, path: str, own: Shown, new: Encoder) -> Shown:
        """The generation that the services fill as the new release asks it: its name is another one, for cursors."""
        encoder = bridged(path, own.encoder.info(), new)
        return Shown(self._generation(encoder), own.store, encoder)

    def _measured(self, own: Shown, over: Shown, migration: Migration) -> Told:
        """What is lost over the bridge. Raises MigrationRefused where that is too much."""
        verdict = shadow.ask(self._probes(own), own, over)
        if not verdict.good(migration.overlap, migration.success_drop):
            raise MigrationRefused(
                f"over the bridge {verdict.new_success:.0%} of {verdict.queries} sentences find their document,"
                f" {verdict.old_success:.0%} without, and {verdict.overlap:.0%} of the first ten are the same: too much is"
                " lost. Apply without --bridge; the old release answers meanwhile"
            )
        return asdict(verdict)

    def _cross(self, over: Shown | None) -> None:
        """Ask the generation that the services fill over a bridge from now on, or not any more; unless another one is live."""
        if self._side is not None and self._switched(self._side):
            return
        self._bridged = over
        self._live.show(over)
        log.info("migration_bridge", used=over is not None)

    def _show(self, generation: str) -> None:
        """Durably, and then at once."""
        self._around.home.make_live(generation)
        side, self._bridged = self._side, None
        self._live.show(side.shown if side and side.shown.generation.name == generation else None)
        log.info("generation_live", generation=generation)

    def unready(self) -> list[str]:
        """Until it is known what is live, and that is open."""
        return [] if self._own else ["the generations of the index are not open yet"]

    # --- What people ask for ---

    def plan(self, encoder: str, rate: float) -> Told:
        """What it will cost."""
        own = self._required()
        self._refuse_forgetful()
        new = self._new_encoder(encoder)
        try:
            generation = self._generation(new)
            told = self._estimate(own, new, rate)
        finally:
            new.close()
        return {
            "from": {"release": own.encoder.info().release, "generation": own.generation.name},
            "to": {"release": generation.release, "generation": generation.name, "dimension": generation.dimension},
            **asdict(told),
            "free_bytes": self._around.room.left(),
            "kept": [asdict(each) for each in self._around.home.kept()],
        }

    def apply(self, encoder: str, given: Mapping[str, Any]) -> Told:
        """Begin, or go on with, the migration to this release; its thread does the rest.

        `given`: of `rate`, `overlap`, `success_drop` and `bridge`; what is not stays as it was.
        """
        own = self._required()
        if self._recorded.migration is not None:
            with self._changing:
                self._resume(replace(self._recorded.migration, **given), encoder)
            return self.status()
        self._refuse_forgetful()
        new = self._new_encoder(encoder)
        try:
            generation = self._generation(new)
            self._refuse_without_room(own, generation.dimension)
            with self._changing:
                migration = Migration(
                    encoder=encoder,
                    release=generation.release,
                    generation=generation.name,
                    old_release=own.encoder.info().release,
                    old_generation=own.generation.name,
                    group=f"migrate-{uuid.uuid4().hex[:12]}",
                )
                migration = replace(migration, **given)
                over = None
                if migration.bridge is not None:
                    over = self._over(migration.bridge, own, new)
                    migration = replace(migration, over_bridge=self._measured(own, over, migration))
                self._around.home.drop(generation.name)  # of an earlier migration: who knows what it has missed
                self._write(migration)
                self._opened(migration, own, new)
                if over is not None:
                    self._cross(over)
        except BaseException:
            if self._side is None:
                new.close()
            raise
        return self.status()

    def _resume(self, migration: Migration, encoder: str) -> None:
        if encoder != migration.encoder:
            raise MigrationRefused(
                f"a migration to {migration.release} is there already ({migration.stage.value}): go on with it, cancel it, or"
                " retire the old generation first"
            )
        if migration.stage is Stage.SWITCHED:
            return  # it took over before whoever looks on had called again
        if migration.stage is Stage.RETIRED:
            raise MigrationRefused(f"{migration.release} is the live release already: there is nothing to do")
        again = replace(migration, stage=Stage.FILLING, report=None)
        side, own = self._side, self._required()
        if side is None or side.problem:
            if side is not None:
                self._cross(None)
                side.stop()
                side.close()
                self._side = None
            side = self._opened_again(again, own)
        over = None
        if again.bridge is not None:
            over = self._over(again.bridge, own, side.shown.encoder)
            again = replace(again, over_bridge=self._measured(own, over, again))
        self._write(again)
        self._cross(over)

    def rollback(self, seconds: float) -> Told:
        """The old generation answers again. `settled`: whether it had all that the new one shows, within `seconds`."""
        with self._changing:
            migration, side = self._at(Stage.SWITCHED)
            own = self._required()
            with side.backfill.lock:
                ends = self._around.log.end_offsets(DOCUMENTS.name)
                applied = settled(self._around.log, seconds, silent)
                own.store.flush()
                self._show(own.generation.name)
                self._write(replace(migration, stage=Stage.ROLLED_BACK))
        return self.status() | {"settled": all(applied.get(each, 0) >= end for each, end in ends.items())}

    def retire(self) -> Told:
        """No way back from here: at the next start the services fill the new generation, and the old one is removed."""
        with self._changing:
            migration, _ = self._at(Stage.SWITCHED)
            self._write(replace(migration, stage=Stage.RETIRED))
        return self.status()

    def cancel(self) -> Told:
        """Forget the new generation, which is not live."""
        with self._changing:  # it may just be about to switch
            migration = self._recorded.migration
            if migration is None:
                raise MigrationRefused("there is no migration")
            side = self._side
            if migration.stage in (Stage.SWITCHED, Stage.RETIRED) or (side is not None and self._switched(side)):
                raise MigrationRefused(f"{migration.release} is live: roll back first")
            self._side = None
            self._cross(None)
            if side is not None:
                side.stop()
            record.write(self._folder, replace(self._recorded, migration=None))
            self._recorded = record.read(self._folder)
            self._around.home.drop(migration.generation)
            if side is not None:
                side.close()
        return self.status()

    def status(self) -> Told:
        """How far it is, in plain JSON."""
        own, migration, side = self._required(), self._recorded.migration, self._side
        told: Told = {
            "release": own.encoder.info().release,
            "generations": [asdict(each) for each in self._around.home.kept()],
            "migration": None,
        }
        if migration is None:
            return told
        kept = {each["name"]: each for each in told["generations"]}
        shown: Told = asdict(migration) | {"stage": migration.stage.value}
        shown["problem"], shown["bridge_used"] = self._problem, self._bridged is not None
        shown["documents"] = kept.get(migration.generation, {}).get("documents", 0)
        shown["old_documents"] = kept.get(migration.old_generation, {}).get("documents", 0)
        if side is not None:
            ends = self._around.log.end_offsets(DOCUMENTS.name)
            progress, seconds = side.progress, max(1e-3, time.monotonic() - side.began_at)
            shown |= {
                "events": progress.events,
                "events_left": progress.behind(ends),
                "events_per_second": round((progress.events - progress.begun) / seconds, 2),
                "failed": dict(progress.failed),
                "waits_for": progress.waits_for,
                "problem": side.problem,
            }
        if kept.get(migration.generation, {}).get("live"):
            told["release"] = migration.release
        return told | {"migration": shown}

    def backup(self, options: Options, progress: Progress) -> Told:
        """As without migrations, of the generation that the services fill: from their positions a restore catches up."""
        record.refuse_backup(self._recorded)
        return backup(self._around.log, self._around.home, options, progress)

    def settle(self, events: Log, seconds: float, progress: Progress) -> Mapping[int, int]:
        """As `settled`, for an audit of what is live: after the switch that is what a consumer of its own fills."""
        migration = self._recorded.migration
        switched = migration is not None and migration.stage in (Stage.SWITCHED, Stage.RETIRED)
        return settled(events, seconds, progress, more=[(migration.group, TOPICS)] if migration and switched else ())

    def _at(self, stage: Stage) -> tuple[Migration, Side]:
        migration, side = self._recorded.migration, self._side
        if migration is None or side is None:
            raise MigrationRefused("there is no migration")
        if migration.stage is not stage:
            raise MigrationRefused(
                f"the migration to {migration.release} is {migration.stage.value}, not {stage.value}"
            )
        return migration, side

    def _estimate(self, own: Shown, new: Encoder, rate: float) -> Estimate:
        sample = drawn(own.store, ESTIMATED, SystemRandom())
        return estimate(own.store, self._documents(own), sample, new, rate)

    def _documents(self, own: Shown) -> int:
        return next((each.documents for each in self._around.home.kept() if each.name == own.generation.name), 0)

    def _refuse_without_room(self, own: Shown, dimension: int) -> None:
        """Where the vectors alone do not fit on the disk."""
        sample = drawn(own.store, ESTIMATED, SystemRandom())
        needed = vector_bytes(own.store, self._documents(own), sample, dimension)
        if words := self._around.room.lack(needed):
            raise MigrationRefused(words)

    def _refuse_forgetful(self) -> None:
        """What the log has forgotten nobody can read again."""
        seconds = self._around.log.kept(DOCUMENTS.name)
        if seconds is not None:
            raise MigrationRefused(
                f"{DOCUMENTS.name} keeps documents for {seconds / 86_400:.1f} days only: the new index would lack what is older."
                " Set its retention to -1, ingest again what is older than that, then migrate"
            )

    def _new_encoder(self, encoder: str) -> Encoder:
        new = self._around.open_encoder(encoder)
        if self._recorded.migration is None and self._generation(new).name == self._required().generation.name:
            release = new.info().release
            new.close()
            raise MigrationRefused(f"{release} is the live release already: there is nothing to move to")
        return new

    def _generation(self, encoder: Encoder) -> Generation:
        return Generation(encoder.info().release, encoder.info().dimension, self._around.segmenter)

    def _rate(self) -> float:
        """Of a generation that is live, or was, nothing may wait."""
        migration = self._recorded.migration
        return migration.rate if migration is not None and migration.stage is Stage.FILLING else 0.0

    def _switched(self, side: Side) -> bool:
        return self._around.home.generations().get(side.shown.generation.name, False)

    def _required(self) -> Shown:
        if self._own is None:
            raise MigrationRefused("it is still starting: ask again in a moment")
        return self._own

    def _write(self, migration: Migration) -> None:
        recorded = replace(self._recorded, migration=migration)
        record.write(self._folder, recorded)
        self._recorded = recorded


def operations(migrations: Migrations) -> dict[str, Callable[..., Told]]:
    """By what is asked over the socket."""
    return {
        "migrate plan": lambda log, store, options, progress: migrations.plan(options["encoder"], options["rate"]),
        "migrate apply": lambda log, store, options, progress: migrations.apply(
            options["encoder"], {name: value for name, value in options.items() if name in GIVEN and value is not None}
        ),
        "migrate status": lambda log, store, options, progress: migrations.status(),
        "migrate rollback": lambda log, store, options, progress: migrations.rollback(options["wait"]),
        "migrate retire": lambda log, store, options, progress: migrations.retire(),
        "migrate cancel": lambda log, store, options, progress: migrations.cancel(),
        "audit": partial(audit, settle=migrations.settle),
        "repair": partial(repair, settle=migrations.settle),
        "backup": lambda log, store, options, progress: migrations.backup(options, progress),
    }
