"""Documents of another kind are told from those the index holds, and those of the same kind are not."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.events.ids import Key
from spanstream.indexer.drift import LEAST, Drift, hubness, shift
from spanstream.indexer.handler import Indexer
from spanstream.runtime import metrics
from spanstream.store.compression import Compression
from spanstream.store.memory import MemoryStore
from spanstream.store.store import Store
from tests.unit.indexer.documents import DIMENSION, GENERATION, Document, deleted

DAY = 86_400_000_000
NOW = 100 * DAY
SEA = ["tide", "ferry", "harbour", "sail", "wave", "anchor"]
BREAD = ["yeast", "dough", "oven", "crust", "flour", "salt"]


def sentence(words: list[str], chance: Random) -> str:
    return " ".join(chance.sample(words, 3)) + "."


@pytest.fixture
def store() -> Store:
    made = MemoryStore()
    made.open(GENERATION.name, DIMENSION, Compression.NONE)
    return made


def fill(store: Store, words: list[str], count: int, days_ago: float, name: str) -> None:
    chance, accepted = Random(name), int(NOW - days_ago * DAY)
    indexer = Indexer(store, GENERATION, lambda: NOW)
    for number in range(count):
        key = Key("acme", "notes", f"{name}{number}")
        indexer(Document(key, 1, [[sentence(words, chance)]], accepted_at_us=accepted).records())


def looked(store: Store) -> tuple[float, float]:
    Drift(store, lambda: NOW, Random(3)).step()
    return metrics.INDEXER_DRIFT._value.get(), metrics.INDEXER_HUBNESS._value.get()


def test_a_new_subject_shows_and_more_of_the_same_does_not(store: Store) -> None:
    fill(store, SEA, 120, 30, "old")
    fill(store, SEA, 80, 1, "same")
    same, _ = looked(store)
    assert same < 0.05
    fill(store, BREAD, 80, 1, "other")
    other, uneven = looked(store)
    assert other > 0.1
    assert 0 < uneven < 1


def test_too_few_documents_say_nothing(store: Store) -> None:
    drift, uneven = looked(store)
    assert math.isnan(drift)
    assert math.isnan(uneven)
    fill(store, SEA, LEAST - 1, 30, "old")
    fill(store, BREAD, 2 * LEAST, 1, "new")
    drift, uneven = looked(store)
    assert math.isnan(drift)
    assert uneven > 0


def test_what_was_deleted_does_not_count(store: Store) -> None:
    fill(store, SEA, 60, 30, "old")
    fill(store, SEA, 60, 1, "new")
    fill(store, BREAD, 60, 1, "gone")
    indexer = Indexer(store, GENERATION, lambda: NOW)
    for number in range(60):
        indexer([deleted(Key("acme", "notes", f"gone{number}"), 2)])
    assert looked(store)[0] < 0.05


def some(count: int, seed: int, moved: float = 0.0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(size=(count, 16)) + moved * np.eye(16)[0]
    return np.asarray(found, np.float32)


def test_by_chance_there_is_no_shift_and_a_known_one_is_measured() -> None:
    chances = [shift(some(100, seed), some(60, seed + 1000)) for seed in range(50)]
    assert np.mean(chances) < 0.02
    # Sixteen directions of variance 1, means 2 apart: 4 / 16.
    assert shift(some(20_000, 1), some(20_000, 2, moved=2.0)) == pytest.approx(0.25, abs=0.01)


def test_a_hub_takes_its_share() -> None:
    even = some(300, 5)
    unit = even / np.linalg.norm(even, axis=1, keepdims=True)
    hubs = unit.copy()
    hubs[:3] = hubs.mean(axis=0) * 40  # near to everything
    assert hubness(unit) < 0.06
    assert hubness(hubs) > hubness(unit) + 0.05
