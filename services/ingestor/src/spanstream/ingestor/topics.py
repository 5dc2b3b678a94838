"""Create the registered topics that are missing: `python -m spanstream.ingestor.topics`, the job that runs before services.

Those that exist are left as they are. A document's events stay in one partition number from topic to topic, so all must
have as many partitions as one another.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.eventlog.opening import open_log
from spanstream.events.topics import ALL
from spanstream.runtime.settings import LogSettings, SettingsError


class TopicsDiffer(EventLogError):
    """Topics have unequal numbers of partitions; the message tells which has how many."""


def create(log: Log, partitions: int | None = None) -> list[str]:
    """The topics that were created, with as many `partitions`; None: as registered. Raises TopicsDiffer, or what the log raises."""
    created = log.ensure_topics([replace(topic, partitions=partitions or topic.partitions) for topic in ALL])
    found = {topic.name: len(log.end_offsets(topic.name)) for topic in ALL}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in found.items())
        raise TopicsDiffer(f"all topics must have the same number of partitions, but have: {shown}")
    return created


def main() -> int:
    """The exit code: 0, or 1 with a line that says why not, or 2 where a setting is wrong."""
    try:
        settings = LogSettings.read()
        log = open_log(settings.log_url, settings.log_access)
    except (SettingsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        created = create(log)
    except EventLogError as error:
        print(f"topics: {error}", file=sys.stderr)
        return 1
    finally:
        log.close()
    print("created:", ", ".join(created) or "none, all are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
