"""A small index behind the gateway: documents go in through the real indexer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spanstream.events.ids import Key
from spanstream.gateway.late_interaction import LateInteraction
from spanstream.gateway.reranking import Stage
from spanstream.gateway.search import Searcher
from spanstream.indexer.handler import Indexer
from spanstream.store.edge import EdgeStore
from tests.unit.indexer.documents import ENCODER, GENERATION, Document
from tests.unit.indexer.stores import open_edge


class Corpus:
    """A store with what was put into it, and a searcher over it."""

    def __init__(self, folder: Path) -> None:
        self.store: EdgeStore = open_edge(folder)
        self.index = Indexer(self.store, GENERATION, lambda: 1)
        self.searcher = Searcher(self.store, ENCODER, {Stage.LATE: LateInteraction(ENCODER)})

    def put(self, *documents: Document) -> None:
        records = [record for document in documents for record in document.records()]
        assert self.index(records) == []

    def write_without_head(self, documents: Iterable[Document]) -> None:
        """Passages as they lie in the store before their head flips."""
        for document in documents:
            first, *_ = document.records(len(document.passages))
            assert self.index([first]) == []


def document(
    id: str, *passages: list[str], version: int = 1, tenant: str = "acme", source: str = "wiki", **more: Any
) -> Document:
    return Document(Key(tenant, source, id), version, passages, **more)


FISH = document(
    "fish",
    ["The red fish swims. It is fast."],
    ["Blue fish sleep at night."],
    title="Fish",
    metadata={"year": 1999, "tags": ["sea"]},
)
BIRD = document(
    "bird",
    ["A bird flies south.", "It returns in spring."],
    title="Birds",
    metadata={"year": 2010, "author": {"name": "Ada"}},
)
TREE = document(
    "tree/ä %2F",
    ["The old tree stands."],
    ["Its roots are deep.", "Fish live elsewhere."],
    source="wood",
    metadata={"seen": "2024-05-01T10:00:00Z"},
)
