"""How far the pipeline has come with what was accepted, while it is at work: `in_flight` knows only when all is done.

A document's events have the same partition number on every topic, in the same order, and every stage publishes before it
commits. So if the ingestor has committed partition p of documents.v1 up to D, and passages.v1 is *then* seen to end at P,
all that those documents led to lies below P; once the embedder has committed P, and embeddings.v1 is then seen to end at
E, below E; and once the indexer has committed E, all of them are applied. Each look starts such a chain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, PASSAGES

MAX_CHAINS = 256  # of a stage and partition; beyond them the newest replaces the one before it, and steps are coarser


class Progress:
    """Used by one thread."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at_embedder, self._at_indexer = _Stage(), _Stage()

    def look(self) -> dict[int, int]:
        """Partition -> an offset of documents.v1 below which all is applied, where that moved since the last look.

        Asks the log five short questions; raises its errors.
        """
        parsed = self._log.committed("ingestor", DOCUMENTS.name)
        self._at_embedder.begin(parsed, self._log.end_offsets(PASSAGES.name))
        embedded = self._at_embedder.passed(self._log.committed("embedder", PASSAGES.name))
        self._at_indexer.begin(embedded, self._log.end_offsets(EMBEDDINGS.name))
        return self._at_indexer.passed(self._log.committed("indexer", EMBEDDINGS.name))


class _Stage:
    """The chains that wait for one stage, by partition: (below in documents.v1, below in the stage's topic), rising."""

    def __init__(self) -> None:
        self._chains: dict[int, deque[tuple[int, int]]] = {}
        self._begun: dict[int, int] = {}

    def begin(self, documents: Mapping[int, int], ends: Mapping[int, int]) -> None:
        for partition, below in documents.items():
            if below <= self._begun.get(partition, 0):
                continue
            self._begun[partition] = below
            chain = self._chains.setdefault(partition, deque())
            if len(chain) == MAX_CHAINS:
                chain.pop()
            chain.append((below, ends.get(partition, 0)))

    def passed(self, committed: Mapping[int, int]) -> dict[int, int]:
        """The furthest of documents.v1 that the stage is done with; those chains end here."""
        found: dict[int, int] = {}
        for partition, chain in self._chains.items():
            while chain and chain[0][1] <= committed.get(partition, 0):
                found[partition] = chain.popleft()[0]
        return found
