"""What people ask of a migration: what it will cost, to begin, to go back, to end it, and how far it is. `course.py` does the rest."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from spanstream.encoder.encoder import Encoder
from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS
from spanstream.gateway.live import Live, Shown
from spanstream.runtime.logs import get_logger
from spanstream.standalone.audit.reading import Progress, silent
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.migration import record
from spanstream.standalone.migration.backfill import TOPICS
from spanstream.standalone.migration.bridged import measured, over
from spanstream.standalone.migration.course import LOOK_SECONDS, Course
from spanstream.standalone.migration.estimate import estimate, vector_bytes
from spanstream.standalone.migration.generations import Generations
from spanstream.standalone.migration.record import Migration, MigrationRefused, Records, Stage, usable
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.standalone.operations import Options, audit, backup, repair
from spanstream.store.store import Store

log = get_logger()

GIVEN = ("rate", "overlap", "success_drop", "bridge")  # what a person may set of a migration
Told = dict[str, Any]


class Migrations:
    """Its methods are called by one thread at a time, beside that of `run`. They raise MigrationRefused, and what log, store
    and encoder do.
    """

    def __init__(
        self,
        records: Records,
        around: Surroundings,
        store: Store,
        encoder: Encoder,
        live: Live,
        unwritten: Callable[[], AbstractContextManager[object]],
        unanswered: Callable[[], AbstractContextManager[object]] = nullcontext,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """As for `Generations` and `Course`."""
        self.both = Generations(records, around, store, encoder, live, unanswered)
        self._course = Course(self.both, unwritten, look_seconds)

    def run(self, stop: threading.Event) -> None:
        """See `Course`."""
        self._course.run(stop)

    def unready(self) -> list[str]:
        """Until it is known what is live, and that is open."""
        return [] if self.both.own else ["the generations of the index are not open yet"]

    def stuck(self) -> list[str]:
        """Why a migration does not get on, until somebody does something about it."""
        migration, side = self.both.recorded.migration, self.both.side
        if migration is None:
            return []
        told = [self.both.problem, side.problem if side else ""]
        if migration.stage is Stage.FILLING:
            told.append(self.both.waits_for)
        if migration.stage is Stage.REFUSED:
            told.append(
                f"the index of {migration.release} was not good enough (spanstream migrate status says in what): apply again"
                " with other bounds, or cancel"
            )
        return [each for each in told if each]

    def plan(self, encoder: str, rate: float) -> Told:
        """What it will cost."""
        own = self.both.required()
        self._refuse_forgetful()
        new = self._new_encoder(encoder)
        try:
            generation = self.both.around.generation(new)
            with usable(generation.release):
                told = estimate(own.store, self._documents(own), new, rate)
        finally:
            new.close()
        return {
            "from": {"release": own.encoder.info().release, "generation": own.generation.name},
            "to": {"release": generation.release, "generation": generation.name, "dimension": generation.dimension},
            **asdict(told),
            "free_bytes": self.both.around.room.left(),
            "kept": [asdict(each) for each in self.both.around.home.kept()],
        }

    def apply(self, encoder: str, given: Mapping[str, Any]) -> Told:
        """Begin, or go on with, the migration to this release; its thread does the rest.

        `given`: of `rate`, `overlap`, `success_drop` and `bridge`; what is not stays as it was.
        """
        own = self.both.required()
        if self.both.recorded.migration is not None:
            with self.both.changing:
                self._resume(replace(self.both.recorded.migration, **given), encoder, bridge="bridge" in given)
            return self.status()
        self._refuse_forgetful()
        new = self._new_encoder(encoder)
        try:
            generation = self.both.around.generation(new)
            self._refuse_without_room(own, generation.dimension)
            with self.both.changing:
                migration = Migration(
                    encoder=encoder,
                    release=generation.release,
                    generation=generation.name,
                    old_release=own.encoder.info().release,
                    old_generation=own.generation.name,
                    group=f"migrate-{uuid.uuid4().hex[:12]}",
                )
                migration = replace(migration, **given)
                crossed = None
                if migration.bridge is not None:
                    crossed = over(self.both.around, migration.bridge, own, new)
                    migration = replace(migration, over_bridge=measured(own, crossed, migration))
                self.both.unclaimed()
                self.both.around.home.drop(generation.name)  # of an earlier migration: who knows what it has missed
                self.both.write(migration)
                self.both.opened(migration, own, new)
                if crossed is not None:
                    self.both.cross(crossed)
        except BaseException:
            if self.both.side is None:
                new.close()
            raise
        return self.status()

    def _resume(self, migration: Migration, encoder: str, *, bridge: bool) -> None:
        """`bridge`: one was given; else that on record is crossed unless it is, and where it is of no use, none."""
        if encoder != migration.encoder:
            raise MigrationRefused(
                f"a migration to {migration.release} is there already ({migration.stage.value}): go on with it, cancel it, or"
                " retire the old generation first"
            )
        if migration.stage is Stage.SWITCHED:
            return  # it took over before whoever looks on had called again
        if migration.stage is Stage.RETIRED:
            raise MigrationRefused(f"{migration.release} is the live release already: there is nothing to do")
        if migration.stage is Stage.CANCELLED:
            raise MigrationRefused(
                f"the migration to {migration.release} is cancelled, and not forgotten yet: ask again"
            )
        again = replace(migration, stage=Stage.FILLING, report=None)
        side, own = self.both.side, self.both.required()
        if side is None or side.problem:
            if side is not None:
                self.both.cross(None)
                side.stop()
                side.close()
                self.both.side = None
            side = self.both.opened_again(again, own)
        crossed = self.both.bridged
        if again.bridge is not None and (bridge or crossed is None):
            try:
                crossed = over(self.both.around, again.bridge, own, side.shown.encoder)
                again = replace(again, over_bridge=measured(own, crossed, again))
            except MigrationRefused as error:
                if bridge:
                    raise
                log.warning("migration_without_bridge", detail=str(error))
                crossed, again = None, replace(again, bridge=None, over_bridge=None)
        self.both.write(again)
        if crossed is not self.both.bridged:
            self.both.cross(crossed)

    def rollback(self, seconds: float) -> Told:
        """The old generation answers again. `settled`: whether it had all that the new one shows, within `seconds`."""
        with self.both.changing:
            migration, side = self._at(Stage.SWITCHED)
            own = self.both.required()
            with side.held():
                ends = self.both.around.log.end_offsets(DOCUMENTS.name)
                applied = settled(self.both.around.log, seconds, silent)
                own.store.flush()
                self.both.show(own.generation.name)
                self.both.write(replace(migration, stage=Stage.ROLLED_BACK))
        return self.status() | {"settled": all(applied.get(each, 0) >= end for each, end in ends.items())}

    def retire(self) -> Told:
        """No way back from here: at the next start the services fill the new generation, and the old one is removed."""
        with self.both.changing:
            migration, _ = self._at(Stage.SWITCHED)
            self.both.write(replace(migration, stage=Stage.RETIRED))
        return self.status()

    def cancel(self) -> Told:
        """Forget the new generation, which is not live."""
        with self.both.changing:  # it may just be about to switch
            migration = self.both.recorded.migration
            if migration is None:
                raise MigrationRefused("there is no migration")
            side = self.both.side
            if migration.stage in (Stage.SWITCHED, Stage.RETIRED) or (side is not None and self.both.switched(side)):
                raise MigrationRefused(f"{migration.release} is live: roll back first")
            migration = replace(migration, stage=Stage.CANCELLED)
            self.both.write(migration)  # from here on it goes on by itself
            self.both.side = None
            self.both.cross(None)
            if side is not None:
                side.stop()
                side.close()  # what is removed nobody may write any more
            self.both.remove(migration)
        return self.status()

    def status(self) -> Told:
        """How far it is, in plain JSON."""
        own, migration, side = self.both.required(), self.both.recorded.migration, self.both.side
        told: Told = {
            "release": own.encoder.info().release,
            "generations": [asdict(each) for each in self.both.around.home.kept()],
            "migration": None,
        }
        if migration is None:
            return told
        kept = {each["name"]: each for each in told["generations"]}
        shown: Told = asdict(migration) | {"stage": migration.stage.value}
        shown["problem"], shown["bridge_used"] = self.both.problem, self.both.bridged is not None
        shown["documents"] = kept.get(migration.generation, {}).get("documents", 0)
        shown["old_documents"] = kept.get(migration.old_generation, {}).get("documents", 0)
        if side is not None:
            ends = self.both.around.log.end_offsets(DOCUMENTS.name)
            progress, seconds = side.progress, max(1e-3, time.monotonic() - side.began_at)
            shown |= {
                "events": progress.events,
                "events_left": progress.behind(ends),
                "events_per_second": round((progress.events - progress.begun) / seconds, 2),
                "failed": dict(progress.failed),
                "waits_for": progress.waits_for or (self.both.waits_for if migration.stage is Stage.FILLING else ""),
                "problem": side.problem,
            }
        if kept.get(migration.generation, {}).get("live"):
            told["release"] = migration.release
        return told | {"migration": shown}

    def backup(self, options: Options, progress: Progress) -> Told:
        """As without migrations, of the generation that the services fill: from their positions a restore catches up."""
        record.refuse_backup(self.both.recorded)
        return backup(self.both.around.log, self.both.around.home, options, progress)

    def settle(self, events: Log, seconds: float, progress: Progress) -> Mapping[int, int]:
        """As `settled`, for an audit of what is live: after the switch that is what a consumer of its own fills."""
        migration = self.both.recorded.migration
        switched = migration is not None and migration.stage in (Stage.SWITCHED, Stage.RETIRED)
        return settled(events, seconds, progress, more=[(migration.group, TOPICS)] if migration and switched else ())

    def _at(self, stage: Stage) -> tuple[Migration, Side]:
        migration, side = self.both.recorded.migration, self.both.side
        if migration is None or side is None:
            raise MigrationRefused("there is no migration")
        if migration.stage is not stage:
            raise MigrationRefused(
                f"the migration to {migration.release} is {migration.stage.value}, not {stage.value}"
            )
        return migration, side

    def _new_encoder(self, encoder: str) -> Encoder:
        new = self.both.around.open_encoder(encoder)
        if (
            self.both.recorded.migration is None
            and self.both.around.generation(new).name == self.both.required().generation.name
        ):
            release = new.info().release
            new.close()
            raise MigrationRefused(f"{release} is the live release already: there is nothing to move to")
        return new

    def _documents(self, own: Shown) -> int:
        return next((each.documents for each in self.both.around.home.kept() if each.name == own.generation.name), 0)

    def _refuse_without_room(self, own: Shown, dimension: int) -> None:
        """Where the vectors alone do not fit on the disk."""
        needed = vector_bytes(own.store, self._documents(own), dimension)
        if words := self.both.around.room.lack(needed):
            raise MigrationRefused(words)

    def _refuse_forgetful(self) -> None:
        """What the log has forgotten nobody can read again."""
        seconds = self.both.around.log.kept(DOCUMENTS.name)
        if seconds is not None:
            raise MigrationRefused(
                f"{DOCUMENTS.name} keeps documents for {seconds / 86_400:.1f} days only: the new index would lack what is older."
                " Set its retention to -1, ingest again what is older than that, then migrate"
            )


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
