"""Real processes whose clocks are a day wrong: the order of versions stays, and nothing is lost or held up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.clocks import DAY_SECONDS
from tests.chaos.cluster import Cluster
from tests.chaos.stage import Stage, prepared
from tests.chaos.traffic import Traffic, World


@pytest.mark.timeout(1200)
@pytest.mark.promise("I19")
def test_clocks_that_are_a_day_apart_lose_and_reorder_nothing(tmp_path: Path) -> None:
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    cluster = Cluster(tmp_path / "cluster", nodes=1)
    stage = Stage(tmp_path / "product", cluster.url, embedders=1)
    world = World("clocks", 20)
    try:
        cluster.start()
        log = prepared(cluster.url)
        for number, seconds in enumerate((DAY_SECONDS, -DAY_SECONDS, 0)):
            stage.clocks(seconds, -seconds)
            if number:
                stage.kill()
                stage.embedders[0].kill()
            stage.start()
            traffic = Traffic(world, stage.url, stage.key, seed + number)
            traffic.start()
            traffic.wait(20, stage.revive)
            traffic.stop()
        assert stage.judge(world, log) == []
        assert world.notes.history.dead_letters == []
        assert stage.deaths == 0
        assert stage.embedders[0].deaths == 0
        log.close()
    finally:
        stage.close()
        cluster.close()
