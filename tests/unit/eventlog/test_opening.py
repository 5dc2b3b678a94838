"""From an address to a log."""

from __future__ import annotations

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.opening import open_log


def test_one_memory_address_is_one_log() -> None:
    assert isinstance(open_log("memory:"), MemoryLog)
    assert open_log("memory:") is open_log("memory:")
    assert open_log("memory:a") is not open_log("memory:b")


@pytest.mark.parametrize("url", ["kafka://localhost:9092", "kafka://[::1]:9092,b.example:9093/"])
def test_a_kafka_address_connects_to_nothing_before_its_first_use(url: str) -> None:
    log = open_log(url)
    log.consumer("group", ["topic"]).close()
    log.producer().close()
    log.close()


@pytest.mark.parametrize(
    "url", ["", "kafka:", "kafka://", "kafka://host", "kafka://host:1,", "http://host:1", "file:x"]
)
def test_another_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="LOG_URL must be"):
        open_log(url)
