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
