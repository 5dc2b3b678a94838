"""Two small services of a whole machine: the topics, and the end of what all others share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from spanstream.eventlog.log import Log  # a protocol: no Kafka client
from spanstream.events.topics import ALL
from spanstream.runtime.logs import get_logger
from spanstream.runtime.service import Report

log = get_logger()

GROUPS = sorted({group for topic in ALL for group in topic.consumers})


class Topics:
    """Creates the missing topics once the log answers, and lets groups go on behind lost records if that is wanted."""

    name = "topics"

    def __init__(self, log: Log, *, skip_lost: bool) -> None:
        self._log = log
        self._skip_lost = skip_lost

    def start(self, report: Report) -> None:
        """Create what is missing."""
        self._log.ensure_topics(ALL)
        for group in GROUPS if self._skip_lost else ():
            for (topic, partition), records in self._log.skip_lost(group).items():
                log.warning("records_skipped", group=group, topic=topic, partition=partition, records=records)

    def live(self) -> bool:
        """Always."""
        return True

    def unready(self) -> list[str]:
        """Why the log does not answer."""
        return self._log.unready()

    def stop(self, deadline: float) -> None:
        """Nothing to stop."""


class Closeable(Protocol):
    """Something to close, once, by its owner."""

    def close(self) -> None:
        """Release it; idempotent."""
        ...


class Shared:
    """Closes what several services use. It comes before them, hence stops after them."""

    name = "shared"

    def __init__(self, resources: Sequence[Closeable]) -> None:
        self._resources = resources

    def start(self, report: Report) -> None:
        """Nothing to start."""

    def live(self) -> bool:
        """Always."""
        return True

    def unready(self) -> list[str]:
        """Never: the services that use the resources say whether those answer."""
        return []

    def stop(self, deadline: float) -> None:
        """Close everything, unless the deadline is over: then a service was late and a thread of it may still use this.

        What stays open ends with the process, as after a kill, which loses nothing.
        """
        if time.monotonic() >= deadline:
            log.warning("shared_left_open", reason="a service did not stop in time")
            return
        for resource in self._resources:
            resource.close()
