from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.ingestor.backlog import MOST_RETRY, Backlog
from spanstream.ingestor.progress import MAX_CHAINS, Progress
from spanstream.runtime.problems import Problem

KIB = 2**10


@dataclass
class Line:
    """A pipeline of one partition that does `rate` documents of 1 KiB a second, in order."""

    limit: float = 60.0
    rate: int = 64
    most_open: int = 10_000
    now: float = 0.0
    written: int = 0
    applied: int = 0
    refusals: list[tuple[int, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backlog = Backlog(self.limit, most_open=self.most_open, clock=lambda: self.now)

    def put(self, tenant: str, count: int = 1, *, delete: bool = False) -> int:
        """How many of them were accepted."""
        accepted = 0
        for _ in range(count):
            try:
                self.backlog.admit(tenant, delete=delete)
            except Problem as problem:
                self.refusals.append((problem.status, problem.retry_after))
                continue
            self.backlog.accepted(tenant, 0, self.written, KIB)
            self.written += 1
            accepted += 1
        return accepted

    def second(self, rate: int | None = None) -> None:
        """One passes."""
        self.now += 1.0
        self.applied = min(self.written, self.applied + (self.rate if rate is None else rate))
        self.backlog.applied({0: self.applied})


def test_a_rate_is_assumed_until_one_is_seen_and_raised_by_what_is_done_without_waiting() -> None:
    line = Line(rate=1000)
    assert line.put("acme", 3000) == pytest.approx(30 * 64, abs=1)
    for _ in range(20):
        line.second()
        line.put("acme", 1000)
    line.refusals.clear()
    assert line.put("acme", 3000) == 3000


def test_a_lone_tenant_has_half_of_the_limit_and_is_told_when_to_come_again() -> None:
    line = Line()
    for _ in range(15):
        line.put("acme", 5000)
        line.second()
    line.put("acme", 5000)
    assert line.written - line.applied == pytest.approx(30 * 64, rel=0.05)  # seconds times documents a second
    assert line.refusals[-1] == (429, 1)
    line.backlog.accepted("acme", 0, line.written, 2**20)  # 16 s of work at once
    line.put("acme")
    status, retry = line.refusals[-1]
    assert (status, retry) == (429, pytest.approx(16, abs=2))  # until it has half of the limit


def test_others_find_room_and_shares_become_equal() -> None:
    line = Line()
    line.put("noisy", 5000)
    assert line.put("quiet", 200) == 200
    for _ in range(120):  # two that always want more have one third each
        line.second()
        for _ in range(100):
            line.put("noisy")
            line.put("other")
    for name in ("noisy", "other"):
        assert line.backlog._work[name] / KIB / line.rate == pytest.approx(20, abs=2)


def test_whoever_did_not_fill_it_has_its_part_even_where_it_is_too_full() -> None:
    line = Line()
    line.put("noisy", 5000)
    line.put("quiet", 20)
    line.refusals.clear()
    for _ in range(60):
        line.second(rate=1)  # as if most workers had gone: what waits is many times as long
    rate = 64 * KIB / line.backlog._seconds(64 * KIB)
    assert line.put("noisy") == 0
    assert line.refusals == [(429, MOST_RETRY)]
    for name in ("new", "quiet"):
        line.put(name, 1000)
        assert line.backlog._work[name] / rate == pytest.approx(60 / 3, rel=0.1)


def test_whoever_sends_no_more_than_its_turns_take_is_not_refused_while_others_hold_up_what_counts_as_done() -> None:
    line = Line(limit=30)
    line.put("noisy", 5000)
    line.refusals.clear()
    for _ in range(60):  # each of twenty may have 3.2 documents a second
        line.second(rate=0)
        for number in range(18):
            line.put(f"quiet{number}", 2)
        assert line.refusals == []
    assert line.put("noisy") == 0
    for _ in range(60):
        line.second(rate=0)
        line.put("greedy", 10)
    assert line.backlog._work["greedy"] / KIB / 64 == pytest.approx(120 / 20, abs=0.1)  # since the oldest was accepted


def test_an_outage_is_a_backlog_of_what_was_accepted_in_it_and_not_of_its_length() -> None:
    line = Line()
    line.put("acme", 1000)
    for _ in range(1000):
        line.second(rate=0)
    assert line.put("acme", 500) == 500
    for _ in range(10):
        line.second()
    assert line.backlog._seconds(64 * KIB) == pytest.approx(1, rel=0.5)  # the rate is hardly another one


def test_documents_that_are_remembered_are_bounded() -> None:
    line = Line(limit=1e9, most_open=100)
    assert line.put("acme", 1000) == 100
    assert line.put("quiet") == 0
    assert {status for status, _ in line.refusals} == {429, 503}
    line.second()
    assert line.put("acme", 1000) == 64


def test_deletes_find_room_where_documents_do_not_and_are_bounded_too() -> None:
    line = Line()
    documents = line.put("noisy", 5000)
    assert line.put("noisy", 5000, delete=True) == pytest.approx(documents / 4, abs=1)
    assert line.refusals[-1][0] == 429
    assert line.put("quiet") == line.put("quiet", delete=True) == 1
    few = Line(limit=1e9, most_open=100)
    assert (few.put("acme", 1000), few.put("acme", 1000, delete=True)) == (100, 25)


def test_without_a_limit_nothing_is_counted() -> None:
    line = Line(limit=0)
    assert line.put("acme", 1000) == 1000
    assert line.backlog.idle


def test_all_is_forgotten_once_it_is_applied() -> None:
    line = Line()
    line.put("acme", 100)
    line.second()
    assert not line.backlog.idle
    line.second()
    assert line.backlog.idle
    assert (line.backlog._work, line.backlog._count) == ({}, 0)


class Stages:
    """The log, and the three groups' commits."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(topics.ALL)
        self.progress = Progress(self.log)

    def write(self, topic: topics.Topic, count: int) -> None:
        for _ in range(count):
            self.log.append(topic.name, b"t/s/1", b"")

    def commit(self, group: str, topic: topics.Topic, offset: int) -> None:
        (records,) = [each for each in self.log.topics[topic.name] if each]
        place = topic.name, records[offset - 1].partition
        self.log.consumer(group, [topic.name])
        self.log.groups[group].committed[place] = offset


def test_progress_is_known_while_later_documents_are_still_under_way() -> None:
    stages = Stages()
    stages.write(topics.DOCUMENTS, 10)
    stages.commit("ingestor", topics.DOCUMENTS, 4)
    stages.write(topics.PASSAGES, 6)  # two of the four have two parts
    assert stages.progress.look() == {}
    stages.commit("ingestor", topics.DOCUMENTS, 10)
    stages.write(topics.PASSAGES, 6)
    stages.commit("embedder", topics.PASSAGES, 5)
    stages.write(topics.EMBEDDINGS, 5)
    assert stages.progress.look() == {}  # the fourth's second part is not embedded
    stages.commit("embedder", topics.PASSAGES, 7)
    stages.write(topics.EMBEDDINGS, 2)
    stages.commit("indexer", topics.EMBEDDINGS, 6)
    assert stages.progress.look() == {}  # may be of the fourth: it is known of seven only
    stages.commit("indexer", topics.EMBEDDINGS, 7)
    partition = next(number for number, each in enumerate(stages.log.topics[topics.DOCUMENTS.name]) if each)
    assert stages.progress.look() == {partition: 4}
    stages.commit("embedder", topics.PASSAGES, 12)
    stages.write(topics.EMBEDDINGS, 5)
    assert stages.progress.look() == {}
    stages.commit("indexer", topics.EMBEDDINGS, 12)
    assert stages.progress.look() == {partition: 10}


def test_progress_keeps_so_many_steps() -> None:
    stages = Stages()
    for number in range(MAX_CHAINS + 50):
        stages.write(topics.DOCUMENTS, 1)
        stages.commit("ingestor", topics.DOCUMENTS, number + 1)
        stages.write(topics.PASSAGES, 1)
        stages.progress.look()
    assert max(len(each) for each in stages.progress._at_embedder._chains.values()) == MAX_CHAINS
