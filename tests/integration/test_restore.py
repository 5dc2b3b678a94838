"""The drill: an index on real Kafka is backed up, lost, put back and caught up; then lost again and built from the log alone.

python -m pytest tests/integration/test_restore.py --long -s    # 100,000 passages, with times
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from spanstream.eventlog.opening import open_log
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.standalone.backup.restoring import restore
from spanstream.standalone.backup.taking import take
from spanstream.standalone.broker import BrokerError, LocalBroker
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import Head, Passage, State
from tests.chaos.kept import RESULTS, Kept
from tests.conftest import absent
from tests.fixtures.stepped import GENERATION, World, key

# kafka-python 3.0.12 forgets a socket that is still being connected when its client closes.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@dataclass
class Result(Kept):
    """Seconds of each step; what came back was equal, or there is no result."""

    passages: int
    backup: float
    restored: float  # put back and caught up
    rebuilt: float  # from the log alone


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """A broker of its own: the stages read the registered topics."""
    died: list[BaseException] = []
    broker = LocalBroker(folder)
    try:
        broker.start(died.append)
    except BrokerError as error:
        absent(f"a local Kafka ({error})")
    try:
        yield broker.url
    finally:
        broker.stop(time.monotonic() + 10)
    assert not died


def text(number: int, version: int, sentences: int) -> str:
    return " ".join(
        f"Sentence {each} of document {number} in version {version} says that the tide comes and goes with the moon."
        for each in range(sentences)
    )


def contents(store: EdgeStore, keys: list[Key]) -> dict[Key, tuple[Head, list[Passage]]]:
    heads = store.heads(keys)
    return {key: (head, store.passages(head, vectors=True)) for key, head in heads.items()}


def same(one: dict[Key, tuple[Head, list[Passage]]], two: dict[Key, tuple[Head, list[Passage]]]) -> None:
    """What searches see: not which version brought the passages, nor when they were indexed."""
    assert one.keys() == two.keys()
    for name, (head, passages) in one.items():
        other, others = two[name]
        for field in ("order", "state", "title", "content_type", "metadata", "groups", "passage_count"):
            assert getattr(head, field) == getattr(other, field), (name, field)
        assert len(passages) == len(others) == (head.passage_count if head.state is State.LIVE else 0)
        for a, b in zip(passages, others, strict=True):
            assert (a.ordinal, a.start, a.end, a.text, a.title, a.tokens) == (
                b.ordinal,
                b.start,
                b.end,
                b.text,
                b.title,
                b.tokens,
            )
            assert a.dense is not None
            assert b.dense is not None
            norms = np.linalg.norm(a.dense) * np.linalg.norm(b.dense)
            assert float(a.dense @ b.dense) / norms >= 0.99999


@pytest.mark.promise("I11", "I24")
@pytest.mark.timeout(5400)  # of the long form, and of a busy machine
def test_an_index_that_was_lost_comes_back_from_its_backup_and_from_the_log_alone(tmp_path: Path, long: bool) -> None:
    documents, sentences = (4_000, 300) if long else (60, 15)
    with kafka(tmp_path / "kafka") as url:
        log = open_log(url)
        store = EdgeStore(tmp_path / "index")
        world = World(tmp_path, log, store, poll_wait=0.02)
        try:
            began = time.monotonic()
            for number in range(documents):
                world.put(f"d{number}", 1, text(number, 1, sentences))
            world.flow()
            _say(f"{documents} documents indexed", began)
            before = time.monotonic()
            manifest = take(log, store, tmp_path / "taken", 1, seconds=60)
            size = sum(bytes for bytes, _ in manifest.files.values())
            backed_up = _say(f"backup of {size / 1e6:.0f} MB", before)
            for number in range(0, documents, 10):  # recovery point 0: none of this is in the backup
                world.put(f"d{number}", 2, text(number, 2, sentences))
            for number in range(1, documents, 40):
                world.delete(f"d{number}", 2)
            world.put("new", 1, "It came last.")
            world.flow()
            live = world.compare()
            assert live.equal
            keys = [key(f"d{number}") for number in range(min(documents, 300))] + [key("new")]
            seen = contents(store, keys)

            world.close_stages()  # the disaster
            store.close()
            shutil.rmtree(tmp_path / "index")
            began = time.monotonic()
            world.store = store = EdgeStore(tmp_path / "index")
            moves = restore(log, store, tmp_path / "taken", seal=manifest.seal)
            assert {group for group, _ in moves} == {"indexer"}  # nothing is embedded again
            store.open_live()
            world.open_stages()
            world.flow()
            restored = _say(f"restored and caught up, {live.passages} passages", began, live.passages)
            found = world.compare()
            assert found.equal
            assert (found.heads_digest, found.passages_digest) == (live.heads_digest, live.passages_digest)
            same(contents(store, keys), seen)

            world.close_stages()  # from the log alone
            store.close()
            shutil.rmtree(tmp_path / "index")
            began = time.monotonic()
            log.move("ingestor", DOCUMENTS.name, dict.fromkeys(log.end_offsets(DOCUMENTS.name), 0))
            world.store = store = EdgeStore(tmp_path / "index")
            store.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
            world.open_stages()
            world.flow()
            rebuilt = _say(f"built from the log, {live.passages} passages", began, live.passages)
            found = world.compare()
            assert found.equal
            assert (found.heads_digest, found.passages_digest) == (live.heads_digest, live.passages_digest)
            same(contents(store, keys), seen)
            if long:
                Result(live.passages, backed_up, restored, rebuilt).save(RESULTS / "restore.json")
        finally:
            world.close_stages()
            world.producer.close()
            store.close()
            log.close()
            del world
            gc.collect()  # now, where sockets that kafka-python forgets are expected


def _say(what: str, began: float, passages: int = 0) -> float:
    """Seconds since `began`."""
    seconds = time.monotonic() - began
    rate = f", {passages / seconds:,.0f} passages/s" if passages else ""
    print(f"\n{what}: {seconds:.1f} s{rate}")
    return round(seconds, 1)
