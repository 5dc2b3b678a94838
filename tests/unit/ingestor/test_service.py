from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.ingestor.parsing.parsed import Limits, ParserUnavailable
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.parsing.sandbox import Sandbox
from spanstream.ingestor.service import build
from spanstream.ingestor.settings import IngestorSettings


def test_a_worker_whose_parsers_do_not_start_ends(tmp_path: Path) -> None:
    log = MemoryLog()
    log.ensure_topics(topics.ALL)
    settings = IngestorSettings(log_url="memory:", blob_url=f"file:{tmp_path}", roles="worker")
    broken = Parser(Limits(), Sandbox(Limits(), module="tests.unit.ingestor.files"))  # it just ends
    service = build(settings, log=log, parser=broken)
    errors: list[BaseException] = []
    reported = threading.Event()

    def report(error: BaseException) -> None:
        errors.append(error)
        reported.set()

    service.start(report)
    assert reported.wait(90)
    service.stop(time.monotonic() + 5)
    assert [type(error) for error in errors] == [ParserUnavailable]


@pytest.mark.parametrize(("roles", "missing"), [("worker", []), ("api,worker", ["embeddings.v1"])])
def test_a_worker_waits_for_no_topic_that_the_api_alone_writes(tmp_path: Path, roles: str, missing: list[str]) -> None:
    """Its login to the log may not see them."""
    log = MemoryLog()
    log.ensure_topics([topics.DOCUMENTS, topics.PASSAGES, topics.FAILURES])
    settings = IngestorSettings(log_url="memory:", blob_url=f"file:{tmp_path}", roles=roles, http_port=0)
    service = build(settings, log=log)
    assert [name for name in ("embeddings.v1",) if name in str(service.unready())] == missing
    service.stop(time.monotonic() + 5)
