"""A Kafka of three nodes that are killed and frozen under a product that works: the short form.

`python -m tests.chaos.faults` is the long one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.events.topics import DOCUMENTS
from tests.chaos.cluster import Cluster
from tests.chaos.stage import Stage, prepared
from tests.chaos.traffic import Client, Traffic, World


@pytest.fixture
def seed() -> int:
    number = time.time_ns() % 2**32
    print(f"seed {number}")
    return number


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(1200)
@pytest.mark.promise("I1", "I2", "I3", "I7", "I9", "I14")
def test_leaders_die_and_below_min_isr_nothing_is_accepted_and_nothing_is_lost(
    cluster: Cluster, tmp_path: Path, seed: int
) -> None:
    """A15 of the bad input, I1, I2, I3, I7, I9: who is told 202 finds it there, whoever of the brokers dies."""
    log = prepared(cluster.url)
    stage = Stage(tmp_path / "product", cluster.url)
    world = World("faults", 20)
    try:
        stage.start()
        traffic = Traffic(world, stage.url, stage.key, seed)
        traffic.start()
        traffic.wait(20)
        first = cluster.leader(DOCUMENTS.name)
        cluster.node(first).kill()  # with it every third partition's leader, and perhaps the controller
        traffic.wait(20)
        traffic.stop()

        second = next(node for node in cluster.nodes if node.running)
        second.kill()
        chance = random.Random(seed)
        client = Client(world, stage.url, stage.key, chance)
        refused = client.attempt(*world.choose(chance))
        client.close()
        assert refused is not None
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")

        cluster.node(first).start()
        second.start()
        again = Traffic(world, stage.url, stage.key, seed + 1)
        again.start()
        again.wait(20)
        again.stop()
        violations = stage.judge(world, log)
        print(f"{world.notes.receipts} accepted, {world.notes.refused} refused, {world.notes.broken} without an answer")
        assert violations == []
        assert stage.deaths == 0
    finally:
        stage.close()
        log.close()
