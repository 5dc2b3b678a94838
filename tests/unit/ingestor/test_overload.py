"""Fairness from the ingest API to the encoder, on a virtual clock: the real backlog, log and consumer; arrivals and a server made up.

Nothing here depends on how fast the machine is: the same seed gives the same figures everywhere.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.ingestor.backlog import Backlog
from spanstream.runtime.fair_consumer import Ahead, FairConsumer
from spanstream.runtime.problems import Problem

SECONDS = 180
LEARNING = 60  # seconds until what came before anything was known of the rate is done; they are not looked at
RECORDS = 2  # of a poll
CAPACITY = 50  # documents a second; a document is 1 KiB
QUIET = [f"quiet{number}" for number in range(19)]
QUIET_LOAD = 0.5  # of the capacity, all of them together
LIMIT = 30.0  # seconds of backlog
TOPIC = topics.DOCUMENTS.name


@dataclass
class Outcome:
    """Documents done, and how long each took, by tenant; seconds."""

    done: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def quiet_p95(self) -> float:
        took = sorted(seconds for name in QUIET for seconds in self.took[name])
        return took[int(0.95 * len(took))]


def arrivals(load: float, chance: random.Random) -> Iterator[tuple[float, str]]:
    """Poisson, all tenants together `load` times the capacity: what the quiet ones do not ask for comes from one."""
    rates = dict.fromkeys(QUIET, QUIET_LOAD * CAPACITY / len(QUIET)) | {"noisy": (load - QUIET_LOAD) * CAPACITY}
    for name, rate in rates.items():
        now = 0.0
        while rate > 0 and (now := now + chance.expovariate(rate)) < SECONDS:
            yield now, name


def simulated(load: float, *, seed: int = 1, fair: bool = True) -> Outcome:
    """Three minutes. Not fair: nobody is refused, and the log is read in order."""
    now, written, came = 0.0, 0, sorted(arrivals(load, random.Random(seed)))
    log = MemoryLog(lambda: now)
    log.ensure_topics([replace(topics.DOCUMENTS, partitions=4)])
    backlog = Backlog(LIMIT if fair else 0.0, clock=lambda: now)
    ahead = Ahead(records=1000 if fair else 1)
    consumer = FairConsumer.over(log, "embedder", [TOPIC], RECORDS, ahead)
    sent: dict[tuple[int, int], float] = {}
    outcome, told, at = Outcome(), 0.0, 0
    while now < SECONDS:
        while at < len(came) and came[at][0] <= now:
            since, tenant = came[at]
            at += 1
            try:
                backlog.admit(tenant)
            except Problem:
                outcome.refused[tenant] += since > LEARNING
                continue
            place = log.append(TOPIC, f"{tenant}/s/{written}".encode(), bytes(1024))
            backlog.accepted(tenant, place.partition, place.offset, 1024)
            sent[place.partition, place.offset] = since
            written += 1
        records = consumer.poll(0.0)
        now += len(records) / CAPACITY if records else 0.01
        for record in records:
            tenant = (record.key or b"").partition(b"/")[0].decode()
            if (since := sent[record.partition, record.offset]) > LEARNING:
                outcome.took[tenant].append(now - since)
        outcome.done += len(records) if now > LEARNING else 0
        consumer.commit(records)
        if now - told >= 1.0:
            told = now
            backlog.applied(log.committed("embedder", TOPIC))
    return outcome


@pytest.fixture(scope="module")
def calm() -> Outcome:
    """The quiet ones alone."""
    return simulated(QUIET_LOAD)


@pytest.mark.promise("I15")
@pytest.mark.parametrize("load", [3.0, 10.0])
def test_a_noisy_tenant_harms_neither_goodput_nor_the_others(calm: Outcome, load: float) -> None:
    outcome = simulated(load)
    print(load, outcome.done, outcome.quiet_p95(), calm.quiet_p95(), dict(outcome.refused))
    assert outcome.done >= 0.8 * CAPACITY * (SECONDS - LEARNING)
    assert outcome.quiet_p95() <= 2 * calm.quiet_p95()
    assert sum(outcome.refused[name] for name in QUIET) == 0 < outcome.refused["noisy"]
    quiet = sum(len(outcome.took[name]) for name in QUIET)
    assert quiet >= 0.98 * sum(len(calm.took[name]) for name in QUIET)
    assert max(outcome.took["noisy"]) <= 1.3 * LIMIT  # what was accepted is soon done


def test_without_it_everyone_would_wait_for_the_noisy_one(calm: Outcome) -> None:
    assert simulated(3.0, fair=False).quiet_p95() > 20 * calm.quiet_p95()
