from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Corpus]:
    corpus = Corpus(tmp_path)
    yield corpus
    corpus.store.close()


@pytest.fixture
def corpus(empty: Corpus) -> Corpus:
    empty.put(FISH, BIRD, TREE)
    return empty


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """The same for tests that change nothing."""
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    corpus.put(FISH, BIRD, TREE)
    yield corpus
    corpus.store.close()


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """An empty index that stays empty."""
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    yield corpus
    corpus.store.close()
