from __future__ import annotations

from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.partitions import partition_of
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, PASSAGES
from spanstream.standalone.audit.settled import settled

KEY = b"acme/wiki/d"
AT = partition_of(KEY, DOCUMENTS.partitions)


class Stages:
    """A pipeline whose stages take turns whenever someone waits."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(ALL)
        self.turns = [("ingestor", DOCUMENTS), ("embedder", PASSAGES), ("indexer", EMBEDDINGS)]
        self.again = 0
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if not self.turns:
            return
        group, topic = self.turns.pop(0)
        self.log.move(group, topic.name, self.log.end_offsets(topic.name))
        following = {DOCUMENTS: PASSAGES, PASSAGES: EMBEDDINGS}.get(topic)
        if following:
            self.log.append(following.name, KEY, b"x")
        elif self.again:
            self.again -= 1
            self.log.append(PASSAGES.name, KEY, b"x")
            self.turns = [("embedder", PASSAGES), ("indexer", EMBEDDINGS)]

    def settled(self, seconds: float = 10.0) -> dict[int, int]:
        return settled(self.log, seconds, clock=lambda: self.now, sleep=self.sleep)


def test_it_waits_for_every_stage() -> None:
    stages = Stages()
    stages.log.append(DOCUMENTS.name, KEY, b"x")
    assert stages.settled() == dict.fromkeys(range(DOCUMENTS.partitions), 0) | {AT: 1}
    assert stages.turns == []


def test_it_waits_for_what_the_indexer_sends_round_again() -> None:
    stages = Stages()
    stages.again = 1
    stages.log.append(DOCUMENTS.name, KEY, b"x")
    assert stages.settled()[AT] == 1
    assert stages.turns == []


def test_a_partition_that_is_late_is_left_out_and_the_others_are_not() -> None:
    stages = Stages()
    stages.turns = []
    stages.log.append(DOCUMENTS.name, KEY, b"x")
    found = stages.settled(1.0)
    assert found == dict.fromkeys(set(range(DOCUMENTS.partitions)) - {AT}, 0)
    assert 1.0 <= stages.now < 2.0


def test_what_comes_meanwhile_is_not_waited_for() -> None:
    stages = Stages()
    stages.log.append(DOCUMENTS.name, KEY, b"x")
    sleep = stages.sleep

    def busy(seconds: float) -> None:
        stages.log.append(DOCUMENTS.name, KEY, b"y")
        sleep(seconds)

    stages.sleep = busy  # type: ignore[method-assign]
    assert stages.settled()[AT] == 1
