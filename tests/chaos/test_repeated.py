"""Everything delivered again, and again, in any stage: the index stays what the log says (promise I10)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from tests.chaos.kept import RESULTS, seeds
from tests.fixtures.stepped import World

READ = {"ingestor": [DOCUMENTS], "embedder": [PASSAGES], "indexer": [EMBEDDINGS, FAILURES]}


def write(world: World, chance: random.Random) -> None:
    """Puts, deletes, old versions, the same again, what cannot be read."""
    for _ in range(25):
        id, version = f"d{chance.randrange(8)}", chance.randint(1, 6)
        kind = chance.random()
        if kind < 0.2:
            world.delete(id, version)
        elif kind < 0.3:
            world.put(id, version, " ")
        else:
            world.put(id, version, f"Text {version if kind < 0.8 else 0} of {id}. It is short.")
        if chance.random() < 0.3:
            world.step()


def repeat(world: World, log: MemoryLog, chance: random.Random) -> None:
    """Each stage reads once more from anywhere; other producers write once more what they wrote."""
    for _ in range(chance.randint(1, 4)):
        world.close_stages()
        for group, topics in READ.items():
            for topic in topics:
                committed = log.committed(group, topic.name)
                log.move(group, topic.name, {at: chance.randint(0, offset) for at, offset in committed.items()})
        world.open_stages()
        topic = chance.choice([DOCUMENTS, PASSAGES, EMBEDDINGS])
        records = [record for part in log.topics[topic.name] for record in part]
        for record in chance.sample(records, len(records) // 3):
            log.append(topic.name, record.key, record.value, record.headers)
        world.flow()


@pytest.mark.promise("I10", "I11")
@pytest.mark.timeout(3600)  # of the long form
def test_whatever_is_delivered_again_changes_nothing(tmp_path: Path, long: bool) -> None:
    for seed in seeds(RESULTS / "repeated.json", 1000) if long else range(5):
        chance, log = random.Random(seed), MemoryLog()
        world = World(tmp_path, log)
        write(world, chance)
        world.flow()
        before = world.compare()
        assert before.equal, (seed, world.found)
        repeat(world, log, chance)
        after = world.compare()
        assert after.equal, (seed, world.found)
        assert after.heads_digest == before.heads_digest, seed
        assert after.passages_digest == before.passages_digest, seed
