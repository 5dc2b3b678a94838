"""How long a stage is away when its process is killed: `python -m tests.chaos.recovery --kills 5 --json FILE` (P15).

A steady stream of documents; kill -9 of an embedder of two, or of the process that indexes; it is started again at once. Back at
its full rate is a stage when every one of its partitions has committed a record that came after the kill. At the end the checker
judges: nothing lost, nothing doubled. Prints times and asserts none: the exit code is 1 only if a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from spanstream.embedder.service import GROUP as EMBEDDER
from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.events.topics import EMBEDDINGS, PASSAGES
from spanstream.indexer.service import GROUP as INDEXER
from tests.chaos.cluster import Cluster
from tests.chaos.kept import Kept
from tests.chaos.stage import Stage, prepared
from tests.chaos.traffic import Traffic, World

DOCUMENTS = 60
BETWEEN = 30  # events accepted between two kills, so that each meets a stage at work
MOST_SECONDS = 300.0
AIM_SECONDS = 10.0


@dataclass
class Result(Kept):
    """Seconds from each kill until the stage was back, by stage."""

    seed: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    accepted: int = 0
    violations: list[str] = field(default_factory=list)


def away(log: Log, group: str, topic: str, kill: Callable[[], None]) -> float:
    """Kill and start again; seconds until every partition has committed a record that came after the kill."""
    before = log.end_offsets(topic)
    began = time.monotonic()
    kill()
    while time.monotonic() - began < MOST_SECONDS:
        with suppress(EventLogError):
            committed = log.committed(group, topic)
            if all(committed[partition] > end for partition, end in before.items()):
                return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"{group} is not back after {MOST_SECONDS:.0f} s")


def measure(kills: int, seed: int, folder: Path) -> Result:
    """`kills` of each stage."""
    result, chance = Result(seed), random.Random(seed)
    cluster = Cluster(folder / "kafka", nodes=1)
    stage = Stage(folder / "product", cluster.url, embedders=2)

    def embedder() -> None:
        one = chance.choice(stage.embedders)
        one.kill()
        one.start()

    def indexer() -> None:
        stage.kill()
        stage.launch()

    stages = {"embedder": (EMBEDDER, PASSAGES.name, embedder), "indexer": (INDEXER, EMBEDDINGS.name, indexer)}
    try:
        cluster.start()
        log = prepared(cluster.url)
        stage.start()
        world = World("recovery", DOCUMENTS)
        traffic = Traffic(world, stage.url, stage.key, seed)
        traffic.start()
        for name, (group, topic, kill) in stages.items():
            for _ in range(kills):
                traffic.wait(BETWEEN)
                seconds = away(log, group, topic, kill)
                print(f"{name} back after {seconds:.1f} s", flush=True)
                result.seconds.setdefault(name, []).append(round(seconds, 2))
        traffic.stop()
        result.violations = [str(violation) for violation in stage.judge(world, log)]
        result.accepted = world.notes.receipts
        log.close()
    finally:
        stage.close()
        cluster.close()
    return result


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.recovery", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="of each stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the result is written")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is stopped
    with tempfile.TemporaryDirectory(prefix="spanstream-recovery-") as folder:
        result = measure(options.kills, options.seed, Path(folder))
    for name, seconds in result.seconds.items():
        middle, most = statistics.median(seconds), max(seconds)
        print(f"{name}: median {middle:.1f} s, at most {most:.1f} s of {len(seconds)} kills (aim: {AIM_SECONDS:.0f} s)")
    print(f"{result.accepted} accepted; {result.violations or 'nothing lost, nothing doubled'}")
    result.save(options.json)
    return bool(result.violations)


if __name__ == "__main__":
    sys.exit(main())
