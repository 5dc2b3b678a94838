"""The two generations of a migration: which one the services fill, which one answers, and what is on record of both.

Used by the thread that brings a migration on (`course.py`) and by whoever asks for something (`migrations.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from spanstream.encoder.encoder import Encoder
from spanstream.gateway.live import Live, Shown
from spanstream.runtime.logs import get_logger
from spanstream.standalone.migration.bridged import over
from spanstream.standalone.migration.record import Migration, MigrationRefused, Recorded, Records, Stage
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.store.errors import StoreUnavailable
from spanstream.store.store import Store

log = get_logger()

NAMED = 5  # hosts that a message names at most


class Generations:
    """Not thread-safe: `changing` is held by whoever changes one of them, or the record. Raises what log, store and encoder do."""

    def __init__(
        self,
        records: Records,
        around: Surroundings,
        store: Store,
        encoder: Encoder,
        live: Live,
        unanswered: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`store` and `encoder`: of the generation that the services fill. Inside `unanswered` no search is answered that
        `live` does not decide.
        """
        self._records, self._unanswered = records, unanswered
        self.around = around
        self.store, self.encoder = store, encoder
        self.changing = threading.RLock()
        self.recorded = Recorded()
        self.own: Shown | None = None  # the one that the services fill, once it is open
        self.side: Side | None = None
        self.waits_for = ""  # what a switch waits for
        self.problem = ""  # why there is none although a migration is on record
        self.bridged: Shown | None = None  # the generation that the services fill, asked by the new release
        self.live = live  # tells which one answers
        self.cancelled: str | None = None  # the generation of a migration that was

    def read(self) -> Recorded:
        """What is on record, at a start. Raises Trouble."""
        self.recorded = self._records.read()
        return self.recorded

    def unclaimed(self) -> None:
        """Raise MigrationRefused, or what the record says, where a migration was begun by another process meanwhile."""
        self._records.check()
        if self._records.read().migration is not None:
            raise MigrationRefused("a migration was begun by another process meanwhile")

    def required(self) -> Shown:
        """The one that the services fill. Raises MigrationRefused before it is open."""
        if self.own is None:
            raise MigrationRefused("it is still starting: ask again in a moment")
        return self.own

    def check(self, encoder: Encoder, generation: str, release: str) -> None:
        """Raises MigrationRefused where this encoder makes another generation: before anything is made for it."""
        if self.around.generation(encoder).name != generation:
            now = encoder.info().release
            changed = f"which is {now} now" if now != release else "and SPANS is another now"
            raise MigrationRefused(
                f"a migration is on record, and one of its encoders was {release}, {changed}. Put that back, and start with the"
                " ENCODER_MODEL and SPANS that there were"
            )

    def opened(self, migration: Migration, own: Shown, encoder: Encoder) -> Side:
        """The new one, which is filled and kept current from now on; `encoder` becomes its."""
        side = Side(self.around, encoder, migration.group, own.store.heads, self._rate)
        self.side, self.problem = side, ""
        side.start()
        return side

    def opened_again(self, migration: Migration, own: Shown) -> Side:
        """The same with the encoder that is on record, and no other that may be in its place by now."""
        encoder = self.around.open_encoder(migration.encoder)
        try:
            self.check(encoder, migration.generation, migration.release)
            return self.opened(migration, own, encoder)
        except BaseException:
            encoder.close()
            raise

    def reopened(self, migration: Migration, own: Shown) -> None:
        """The same after a start, and over its bridge if it had one."""
        encoder = self.opened_again(migration, own).shown.encoder
        if migration.stage is Stage.FILLING and migration.bridge is not None:
            try:
                self.cross(over(self.around, migration.bridge, own, encoder))
            except MigrationRefused as error:  # the old release answers as before
                log.warning("migration_without_bridge", detail=str(error))

    def cross(self, over: Shown | None) -> None:
        """Ask the generation that the services fill over a bridge from now on, or not any more; unless another one is live."""
        if self.side is not None and self.switched(self.side):
            return
        self.bridged = over
        self.live.show(over)
        log.info("migration_bridge", used=over is not None)

    def show(self, generation: str) -> None:
        """Make it live: durably, and then at once."""
        home = self.around.home
        if home.live() != generation:
            self.check_gateways(generation)
            with self._unanswered():
                self.check_gateways(generation)  # none has come since that would go on with what was live
                home.make_live(generation)
        side, self.bridged = self.side, None
        self.live.show(side.shown if side and side.shown.generation.name == generation else None)
        log.info("generation_live", generation=generation)

    def check_gateways(self, generation: str) -> None:
        """Raise StoreUnavailable where some could not answer from it: each of their searches would fail."""
        try:
            unable = self.around.unable(generation)
        except StoreUnavailable as error:
            self.waits_for = f"whether the gateways can answer from {generation} is not known: {error}"
            raise
        more = f" and {len(unable) - NAMED} more" if len(unable) > NAMED else ""
        self.waits_for = (
            f"gateways cannot answer from {generation} yet: {', '.join(unable[:NAMED])}{more}. Each needs an encoder of that"
            " release at ENCODER_URL or NEXT_ENCODER_URL, and to reach it"
            if unable
            else ""
        )
        if unable:
            raise StoreUnavailable(self.waits_for)

    def switched(self, side: Side) -> bool:
        """Whether the new generation is live."""
        return self.around.home.generations().get(side.shown.generation.name, False)

    def write(self, migration: Migration | None) -> None:
        """Put it on record, in place of what was; None: there is none any more."""
        recorded = replace(self.recorded, migration=migration)
        self._records.write(recorded)
        self.recorded = recorded

    def remove(self, migration: Migration) -> None:
        """The new generation of one that is cancelled, and then the record of that: so it is done again until it is done."""
        self.around.home.drop(migration.generation)
        self.cancelled = migration.generation
        self.write(None)

    def _rate(self) -> float:
        """Of a generation that is live, or was, nothing may wait."""
        migration = self.recorded.migration
        return migration.rate if migration is not None and migration.stage is Stage.FILLING else 0.0
