"""The end of a migration of services in processes of their own: they have the new release's encoder, and the old index goes.

Nobody has to know which of their processes are still of before. An indexer of before writes only what it cannot find again
once the old generation is gone: then it waits, until a process with the new encoder takes its partitions over. So

    1 the record says that the old generation is given up. Within a second no indexer of before begins anything any more
    2 it is removed: whatever an indexer of before has committed was in the log by now
    3 the new generation is filled up to there, by its own consumer
    4 the record is forgotten: indexers with the new encoder, which have waited for this, begin. Not before: what an indexer of
      before has committed in the end nobody else would bring, if this process never came back

Done again after a crash it is done.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.eventlog.errors import EventLogError
from spanstream.events.topics import DOCUMENTS
from spanstream.runtime.logs import get_logger
from spanstream.standalone.migration.record import Migration, MigrationRefused, Recorded, Records, Stage
from spanstream.standalone.migration.side import Side, Surroundings
from spanstream.store.errors import StoreUnavailable
from spanstream.store.switching import WRITERS_WAIT_SECONDS

log = get_logger()

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 5.0  # after something did not answer


class Finishing:
    """Run by one thread."""

    def __init__(self, records: Records, around: Surroundings, encoder: Encoder) -> None:
        """`encoder`: of the new release."""
        self._records, self._around, self._encoder = records, around, encoder
        self._waits_for = "the old index is not given up yet"

    def unready(self) -> list[str]:
        """What it waits for; nothing once it is done."""
        return [self._waits_for] if self._waits_for else []

    def run(self, stop: threading.Event) -> None:
        """Until it is done, or `stop`."""
        while not stop.is_set():
            try:
                recorded = self._records.read()
                if recorded.migration is None or self._ended(recorded.migration, stop):
                    self._waits_for = ""
                    return
            except (EncoderError, StoreUnavailable, EventLogError, MigrationRefused) as error:
                self._waits_for = str(error)
                log.warning("migration_waits", detail=str(error))
                stop.wait(AGAIN_SECONDS)

    def _ended(self, migration: Migration, stop: threading.Event) -> bool:
        home, info = self._around.home, self._encoder.info()
        if self._around.generation(self._encoder).name != migration.generation:
            raise MigrationRefused(
                f"ENCODER_URL and NEXT_ENCODER_URL both lead to {info.release}, and the migration is to {migration.release}: put"
                " NEXT_ENCODER_URL (of the chart global.migration.to) back. It stays while the migration lasts, whichever way it goes"
            )
        if home.live() != migration.generation:
            raise MigrationRefused(
                f"the services have the encoder of {migration.release} already, but the index of {migration.old_release} is the"
                " live one: put ENCODER_URL back until the new index has taken over"
            )
        self._records.write(Recorded(migration=replace(migration, stage=Stage.RETIRED)))  # 1
        if stop.wait(WRITERS_WAIT_SECONDS):
            return False
        home.drop(migration.old_generation)  # 2
        ends = self._around.log.end_offsets(DOCUMENTS.name)
        side = Side(self._around, self._encoder, migration.group, None, lambda: 0.0)
        side.start()
        try:
            while left := side.progress.behind(ends):  # 3
                self._waits_for = f"{left:,} events are left until the old index is given up"
                if side.problem:
                    raise MigrationRefused(side.problem)
                if stop.wait(LOOK_SECONDS):
                    return False
            self._records.write(Recorded())  # 4, while it is still kept current
        finally:
            side.stop()
            side.shown.store.close()
        log.info("migration_ended", release=migration.release)
        return True
