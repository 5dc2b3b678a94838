"""The job that creates the topics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import ALL, MATCHES
from spanstream.ingestor.topics import TopicsDiffer, create, main


def test_missing_topics_are_created_and_others_left() -> None:
    log = MemoryLog()
    log.ensure_topics([MATCHES])
    assert set(create(log)) == {topic.name for topic in ALL} - {MATCHES.name}
    assert create(log) == []


def test_topics_have_as_many_partitions_as_are_asked_for() -> None:
    log = MemoryLog()
    create(log, 24)
    assert {len(log.end_offsets(topic.name)) for topic in ALL} == {24}


def test_topics_with_unequal_partitions_are_refused_by_name() -> None:
    log = MemoryLog()
    log.ensure_topics([replace(MATCHES, partitions=3)])
    with pytest.raises(TopicsDiffer, match=r"documents\.v1 6.*matches\.v1 3"):
        create(log)


def test_a_missing_address_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("LOG_URL", raising=False)
    assert main() == 2
    assert "LOG_URL" in capsys.readouterr().err
    monkeypatch.setenv("LOG_URL", "memory:topics-job")
    assert main() == 0
    assert "documents.v1" in capsys.readouterr().out
