"""Real faults under real traffic: `python -m tests.chaos.faults --minutes 60`. The exit code is 1 if a promise was broken.

A Kafka of three nodes behind fault proxies, the product, two embedders of their own, clients that write and look. A seed chooses what
breaks and when; when all is whole again and nothing is under way, the checker judges. With `--json FILE` the result is
written after every seed, and a run that was cut off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spanstream.embedder.service import GROUP as EMBEDDER
from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.kafka.log import KafkaLog
from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS
from tests.chaos.clocks import DAY_SECONDS
from tests.chaos.cluster import Cluster
from tests.chaos.kept import Kept
from tests.chaos.proxy import Mode
from tests.chaos.stage import Stage, prepared
from tests.chaos.traffic import Traffic, World

DOCUMENTS_OF_A_SEED = 30
FAULTS_OF_A_SEED = 3
RECEIPTS_BETWEEN = 10  # events that are accepted before a fault, and after it
STORM_SECONDS = 10
WRITERS = 3


@dataclass
class Ground:
    """What faults break."""

    cluster: Cluster
    stage: Stage
    log: Log
    chance: random.Random

    def seconds(self, least: float, most: float) -> None:
        """How long it stays broken."""
        time.sleep(self.chance.uniform(least, most))


def leader_killed(ground: Ground) -> None:
    node = ground.cluster.node(max(1, ground.cluster.leader(DOCUMENTS.name)))
    node.kill()
    ground.seconds(1, 15)
    node.start()


def node_frozen(ground: Ground) -> None:
    node = ground.chance.choice(ground.cluster.nodes)
    node.freeze()
    ground.seconds(1, 15)
    node.thaw()


def two_nodes_killed(ground: Ground) -> None:
    """Below min ISR, and without a controller."""
    nodes = ground.chance.sample(ground.cluster.nodes, 2)
    for node in nodes:
        node.kill()
    ground.seconds(1, 15)
    for node in nodes:
        node.start()


def connections(mode: Mode) -> Callable[[Ground], None]:
    """All of those between the services and some of the brokers."""

    def fault(ground: Ground) -> None:
        nodes = ground.chance.sample(ground.cluster.nodes, ground.chance.randint(1, 3))
        for node in nodes:
            node.proxy.switch(mode)
        ground.seconds(1, 15)
        for node in nodes:
            if mode is Mode.ONE_WAY:  # the answers are lost for good
                node.proxy.switch(Mode.RESET)
            node.proxy.switch(Mode.PASS)

    return fault


def slow(ground: Ground) -> None:
    for node in ground.cluster.nodes:
        node.proxy.delay, node.proxy.rate = ground.chance.choice([(0.2, 0), (0.0, 100_000), (1.0, 0)])
    ground.seconds(3, 10)
    for node in ground.cluster.nodes:
        node.proxy.delay, node.proxy.rate = 0.0, 0


def bits_flipped(ground: Ground) -> None:
    """In what brokers answer."""
    for node in ground.cluster.nodes:
        node.proxy.flips = 3
    ground.seconds(2, 5)
    for node in ground.cluster.nodes:
        node.proxy.flips = 0


def embedder_killed(ground: Ground) -> None:
    embedder = ground.chance.choice(ground.stage.embedders)
    embedder.kill()
    ground.seconds(0, 3)
    embedder.start()


def embedder_zombie(ground: Ground) -> None:
    """Frozen, put out of its group, and let go on with its batch when another one has its partitions."""
    embedder = ground.chance.choice(ground.stage.embedders)
    embedder.freeze()
    evict(ground)
    ground.seconds(3, 8)
    embedder.thaw()


def embedder_outlives_its_session(ground: Ground) -> None:
    """Frozen for longer than its session lasts."""
    embedder = ground.chance.choice(ground.stage.embedders)
    embedder.freeze()
    ground.seconds(50, 55)
    embedder.thaw()


def rebalance_storm(ground: Ground) -> None:
    """Every second a member is killed, frozen or put out."""
    for _ in range(STORM_SECONDS):
        embedder = ground.chance.choice(ground.stage.embedders)
        match ground.chance.randrange(3):
            case 0:
                embedder.kill()
                embedder.start()
            case 1:
                embedder.freeze()
                time.sleep(0.5)
                embedder.thaw()
            case _:
                evict(ground)
        time.sleep(1)


def product_killed(ground: Ground) -> None:
    ground.stage.kill()
    ground.stage.start_product()


def product_frozen(ground: Ground) -> None:
    product = ground.stage.product
    assert product is not None
    product.process.send_signal(signal.SIGSTOP)
    ground.seconds(1, 8)
    product.process.send_signal(signal.SIGCONT)


def clocks_apart(ground: Ground) -> None:
    """All start again, ingest and index with a clock a day ahead or behind, the embedders with the opposite; then with right ones."""
    wrong = ground.chance.choice((-DAY_SECONDS, DAY_SECONDS))
    for seconds in (wrong, 0):
        ground.stage.clocks(seconds, -seconds)
        ground.stage.kill()
        for embedder in ground.stage.embedders:
            embedder.kill()
        ground.stage.start()
        ground.seconds(1, 10)


FAULTS: dict[str, Callable[[Ground], None]] = {
    "leader killed": leader_killed,
    "node frozen": node_frozen,
    "two of three nodes killed": two_nodes_killed,
    **{f"connections to brokers {mode.value}": connections(mode) for mode in Mode if mode is not Mode.PASS},
    "connections to brokers slow": slow,
    "bits flipped in brokers' answers": bits_flipped,
    "embedder killed": embedder_killed,
    "embedder frozen and put out of its group": embedder_zombie,
    "embedder frozen beyond its session": embedder_outlives_its_session,
    "rebalance storm": rebalance_storm,
    "ingest, index and search killed": product_killed,
    "ingest, index and search frozen": product_frozen,
    "clocks a day apart": clocks_apart,
}


def evict(ground: Ground) -> None:
    """Put every member out of the embedders' group; who lives comes back."""
    assert isinstance(ground.log, KafkaLog)
    try:
        ground.log.evict_members([EMBEDDER])
    except LogUnavailable:
        print("the group cannot be asked just now")


@dataclass
class Result(Kept):
    """What is kept of the seeds from `first` up to, not including, `next`."""

    first: int
    next: int
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    ended_by_themselves: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)  # seed -> violations


def run(seed: int, names: list[str], cluster: Cluster, stage: Stage, log: Log, result: Result) -> None:
    """These faults, one after the other, under traffic; then the verdict, into `result`."""
    began = time.monotonic()
    deaths = stage.deaths + sum(embedder.deaths for embedder in stage.embedders)
    world = World(f"seed{seed}", DOCUMENTS_OF_A_SEED)
    ground = Ground(cluster, stage, log, random.Random(seed))
    stage.start()
    traffic = Traffic(world, stage.url, stage.key, seed, WRITERS)
    traffic.start()
    for name in names:
        traffic.wait(RECEIPTS_BETWEEN, stage.revive)
        print(f"seed {seed}: {name}", flush=True)
        FAULTS[name](ground)
        traffic.wait(RECEIPTS_BETWEEN, stage.revive)  # what ends by itself may take its time to do so
    traffic.stop()
    cluster.wait_whole()
    violations = stage.judge(world, log)
    for violation in violations:
        print(f"seed {seed}: {violation}", flush=True)
    notes = world.notes
    result.accepted += notes.receipts
    result.refused += notes.refused
    result.unanswered += notes.broken
    result.ended_by_themselves += stage.deaths + sum(embedder.deaths for embedder in stage.embedders) - deaths
    result.faults = dict(Counter(result.faults) + Counter(names))
    if violations:
        result.failed[str(seed)] = [str(violation) for violation in violations]
    result.next = seed + 1
    result.seconds += time.monotonic() - began


def chosen(seed: int, names: list[str]) -> list[str]:
    """The faults of a seed: each name comes as often as any other."""
    order = random.Random(seed // len(names)).sample(names, len(names))
    return [order[(seed * FAULTS_OF_A_SEED + number) % len(names)] for number in range(FAULTS_OF_A_SEED)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="no seed begins later")
    parser.add_argument("--seeds", type=int, default=10_000, help="at most so many in all")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="+", choices=sorted(FAULTS), default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is stopped
    result = Result.saved(options.json, first=options.first) or Result(options.first, options.first)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="spanstream-faults-") as temporary:
        cluster = Cluster(Path(temporary) / "kafka")
        stage = Stage(Path(temporary) / "product", cluster.url, embedders=2)
        try:
            cluster.start()
            log = prepared(cluster.url)
            while result.next < options.first + options.seeds and time.monotonic() < end:
                run(result.next, chosen(result.next, options.only), cluster, stage, log, result)
                result.save(options.json)
            log.close()
        finally:
            stage.close()
            cluster.close()
    print(json.dumps(asdict(result), indent=1))
    return bool(result.failed)


if __name__ == "__main__":
    sys.exit(main())
