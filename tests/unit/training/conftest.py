from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from spanstream.representations.training.objective import Document
from tests.unit.representations.tiny import LINES, build

WORDS = sorted({word.strip(".,;:?") for line in LINES for word in line.split()})


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return build(tmp_path_factory.mktemp("start") / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)


def document(number: int) -> Document:
    """One of many, each with a few words of its own and three sentences."""
    chance = Random(number)
    own = chance.sample(WORDS, 4)
    said = [" ".join(chance.choices(own, k=5)) + f" {number}." for _ in range(3)]
    bounds, at = [], 0
    for sentence in said:
        bounds.append((at, at + len(sentence)))
        at += len(sentence) + 1
    return Document(" ".join(said), "Notes", tuple(bounds), queries=(" ".join(own[:2]),))


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Sixty passages."""
    return [document(number) for number in range(60)]
