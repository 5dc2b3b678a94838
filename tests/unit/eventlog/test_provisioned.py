"""What a service says of the topics that it uses."""

from __future__ import annotations

from dataclasses import replace

from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.provisioned import Provisioned, used_by
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, FAILURES, MATCHES, PASSAGES


def test_a_topic_that_is_missing_is_named_until_it_is_there() -> None:
    log = MemoryLog()
    log.ensure_topics([PASSAGES, FAILURES, MATCHES])
    provisioned = Provisioned(log, used_by("embedder"))
    assert provisioned.unready() == ["the log at LOG_URL: there is no topic embeddings.v1"]
    log.ensure_topics([EMBEDDINGS])
    assert provisioned.unready() == []


def test_only_topics_that_the_service_uses_are_asked_for() -> None:
    log = MemoryLog()
    log.ensure_topics([DOCUMENTS, PASSAGES, EMBEDDINGS, FAILURES])
    assert Provisioned(log, used_by("embedder")).unready() == []
    assert Provisioned(log, used_by("indexer")).unready() == ["the log at LOG_URL: there is no topic matches.v1"]


def test_too_few_partitions_are_told_with_their_number() -> None:
    log = MemoryLog()
    log.ensure_topics([replace(PASSAGES, partitions=2)])
    log.ensure_topics(ALL)
    assert Provisioned(log, used_by("embedder")).unready() == ["topic passages.v1 has 2 partitions and needs 6"]


def test_unequal_numbers_of_partitions_are_told() -> None:
    log = MemoryLog()
    log.ensure_topics([replace(PASSAGES, partitions=12)])
    log.ensure_topics(ALL)
    [reason] = Provisioned(log, used_by("embedder")).unready()
    assert "same number of partitions, but have: passages.v1 12, embeddings.v1 6, failures.v1 6" in reason
