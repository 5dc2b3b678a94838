"""The topics, generated from proto/topics.yaml by `make proto`; do not edit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the registry. Times are milliseconds (-1: for ever), sizes bytes."""

    name: str
    message: str
    partitions: int
    retention_ms: int
    max_message_bytes: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    dead_letters: str | None


DOCUMENTS = Topic(
    name="documents.v1",
    message="spanstream.events.v1.DocumentEvent",
    partitions=6,
    retention_ms=-1,
    max_message_bytes=1048576,
    producers=("ingestor", "public", "indexer"),
    consumers=("ingestor",),
    dead_letters="failures.v1",
)

PASSAGES = Topic(
    name="passages.v1",
    message="spanstream.events.v1.PassageEvent",
    partitions=6,
    retention_ms=604800000,
    max_message_bytes=1048576,
    producers=("ingestor", "indexer"),
    consumers=("embedder",),
    dead_letters="failures.v1",
)

EMBEDDINGS = Topic(
    name="embeddings.v1",
    message="spanstream.events.v1.EmbeddingEvent",
    partitions=6,
    retention_ms=604800000,
    max_message_bytes=1048576,
    producers=("embedder", "ingestor"),
    consumers=("indexer",),
    dead_letters="failures.v1",
)

FAILURES = Topic(
    name="failures.v1",
    message="spanstream.events.v1.FailureEvent",
    partitions=6,
    retention_ms=-1,
    max_message_bytes=1572864,
    producers=("ingestor", "embedder", "indexer"),
    consumers=("indexer",),
    dead_letters=None,
)

MATCHES = Topic(
    name="matches.v1",
    message="spanstream.events.v1.MatchEvent",
    partitions=6,
    retention_ms=604800000,
    max_message_bytes=1048576,
    producers=("indexer",),
    consumers=(),
    dead_letters=None,
)

ALL = (DOCUMENTS, PASSAGES, EMBEDDINGS, FAILURES, MATCHES)
