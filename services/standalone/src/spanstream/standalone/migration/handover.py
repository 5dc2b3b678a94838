"""The end of a migration, at a start before anything is read: the services take the new generation over, the old one goes.

    1 the parsers go on where the new generation's own consumer stood: before that all of the log is in it
    2 what other stages have on their way is left out: it is of the old release, and behind 1 or in the index already
    3 the old generation is removed
    4 the record says that the index is the new release's

Done again after a crash it is done: until 4 nothing has read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.runtime.logs import get_logger
from spanstream.runtime.service import Report
from spanstream.standalone.migration import record
from spanstream.standalone.migration.record import Migration, Recorded
from spanstream.store.store import Store

log = get_logger()

SECONDS = 90.0  # for the cluster to forget members of a process that was killed
LOOK_SECONDS = 1.0


class Handover:
    """A service that is done once it has started."""

    name = "handover"

    def __init__(self, folder: Path, events: Log, home: Store, migration: Migration) -> None:
        self._folder, self._log, self._home, self._migration = folder, events, home, migration

    def start(self, report: Report) -> None:
        """Raises what the log does."""
        of = self._migration
        new = self._log.committed(of.group, DOCUMENTS.name)
        self._move("ingestor", DOCUMENTS.name, new)  # 1
        self._move("indexer", FAILURES.name, self._log.committed(of.group, FAILURES.name))
        for group, topic in (("embedder", PASSAGES.name), ("indexer", EMBEDDINGS.name)):  # 2
            self._move(group, topic, self._log.end_offsets(topic))
        self._home.make_live(of.generation)  # 3; it is, unless a backup of the old one was put back
        self._home.drop(of.old_generation)
        record.write(self._folder, Recorded(encoder=of.encoder, generation=of.generation))  # 4
        log.info("handover_done", release=of.release)

    def _move(
        self,
        group: str,
        topic: str,
        positions: Mapping[int, int],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        deadline = clock() + SECONDS
        while True:
            try:
                self._log.move(group, topic, positions)
                return
            except EventLogError:
                if clock() >= deadline:
                    raise
                sleep(LOOK_SECONDS)

    def live(self) -> bool:
        """Always."""
        return True

    def unready(self) -> list[str]:
        """Never."""
        return []

    def stop(self, deadline: float) -> None:
        """Nothing to stop."""
