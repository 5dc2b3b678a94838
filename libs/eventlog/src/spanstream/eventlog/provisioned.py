"""Whether the topics that a service uses are there as it needs them."""

from __future__ import annotations

from collections.abc import Sequence

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.events.topics import ALL, Topic


def used_by(service: str) -> list[Topic]:
    """The topics that a service reads or writes, as the registry has them."""
    return [topic for topic in ALL if service in topic.consumers + topic.producers]


class Provisioned:
    """Asks the log until all is well, and then no more: topics lose no partitions, and an outage is not this one's to tell."""

    def __init__(self, log: Log, topics: Sequence[Topic]) -> None:
        """`topics`: no other than this process reads or writes, because a broker may hide the rest from it."""
        self._log = log
        self._topics = topics
        self._well = False

    def unready(self) -> list[str]:
        """What is missing, in words: the log itself, a topic, partitions."""
        if self._well:
            return []
        try:
            counts = {topic.name: len(self._log.end_offsets(topic.name)) for topic in self._topics}
        except EventLogError as error:
            return [f"the log at LOG_URL: {error}"]
        few = [
            f"topic {topic.name} has {counts[topic.name]} partitions and needs {topic.partitions}"
            for topic in self._topics
            if counts[topic.name] < topic.partitions
        ]
        if not few and len(set(counts.values())) > 1:  # a document's events stay in one partition number
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            few = [f"all topics must have the same number of partitions, but have: {shown}"]
        self._well = not few
        return few
