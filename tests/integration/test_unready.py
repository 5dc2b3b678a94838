"""Why a service is not ready, in words: each cause that an installation may have, and that it heals where it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx

from spanstream.embedder import service as embedder
from spanstream.embedder.settings import EmbedderSettings
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import ALL, PASSAGES
from spanstream.gateway import service as gateway
from spanstream.gateway.settings import GatewaySettings
from spanstream.indexer import service as indexer
from spanstream.indexer.settings import IndexerSettings
from spanstream.ingestor import service as ingestor
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.key_file import create_key
from spanstream.runtime.service import Service
from tests.fixtures.product import free_port

NOWHERE = "127.0.0.1:9"  # the port of a protocol that nobody serves any more
SECONDS = 60.0


def log(*topics: str) -> MemoryLog:
    made = MemoryLog()
    made.ensure_topics([topic for topic in ALL if not topics or topic.name in topics])
    return made


@contextmanager
def started(service: Service) -> Iterator[Service]:
    failures: list[BaseException] = []
    service.start(failures.append)
    try:
        yield service
    finally:
        service.stop(time.monotonic() + 30)
    assert failures == []


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def says(service: Service, *words: str) -> None:
    """Wait until one of its reasons has all these words."""
    until(lambda: any(all(word in reason for word in words) for reason in service.unready()))


def heals(service: Service) -> None:
    until(lambda: not service.unready())


def test_a_missing_file_of_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    settings = IngestorSettings(log_url="memory:", blob_url=f"file:{tmp_path}", roles="api", auth_keys_file=str(keys))
    with started(ingestor.build(settings, log=log())) as service:
        says(service, "AUTH_KEYS_FILE", str(keys), "FileNotFoundError")
        create_key(keys, "late", "acme")
        heals(service)


def test_a_wrong_address_of_the_log_is_told_by_a_process_that_lives_on(tmp_path: Path) -> None:
    admin, output = f"http://127.0.0.1:{(port := free_port())}", tmp_path / "log"
    given = {"LOG_URL": f"kafka://{NOWHERE}", "ENCODER_URL": "hash:8", "ADMIN_PORT": str(port)}
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "spanstream.embedder"], env=os.environ | given, stdout=log, stderr=log
        )

    def told() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            ready = httpx.get(f"{admin}/readyz")
        except httpx.TransportError:
            return False
        assert ready.status_code == 503
        return f"embedder: the log at LOG_URL: Kafka does not answer at {NOWHERE}" in ready.text

    try:
        until(told)
        assert httpx.get(f"{admin}/livez").status_code == 200
    finally:
        process.terminate()
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    reasons = [line["reasons"] for line in lines if line["event"] == "not_ready"]
    assert NOWHERE in str(reasons[-1])
    assert all(one != other for one, other in pairwise(reasons))  # once for each change, not for each look


def test_a_missing_file_of_the_brokers_certificates(tmp_path: Path) -> None:
    settings = EmbedderSettings(
        log_url=f"kafka://{NOWHERE}", log_ca_file=tmp_path / "ca.crt", encoder_url="hash:8", loops=1
    )
    with started(embedder.build(settings)) as service:
        says(service, "LOG_CA_FILE", "ca.crt")


def test_a_topic_that_is_missing_or_has_too_few_partitions() -> None:
    settings = EmbedderSettings(log_url="memory:", encoder_url="hash:8", loops=1)
    some = log("passages.v1", "failures.v1")
    with started(embedder.build(settings, log=some)) as service:
        says(service, "there is no topic embeddings.v1")
        some.ensure_topics(ALL)
        heals(service)
    few = MemoryLog()
    few.ensure_topics([replace(PASSAGES, partitions=1)])
    few.ensure_topics(ALL)
    with started(embedder.build(settings, log=few)) as service:
        says(service, "topic passages.v1 has 1 partitions and needs 6")


def test_an_index_server_that_does_not_answer() -> None:
    store = f"http://{NOWHERE}"
    with started(gateway.build(GatewaySettings(store_url=store, encoder_url="hash:8"))) as service:
        says(service, "not open yet", "STORE_URL cannot be reached")
    settings = IndexerSettings(log_url="memory:", store_url=store, encoder_url="hash:8")
    with started(indexer.build(settings, log=log())) as service:
        says(service, "not open yet", "STORE_URL cannot be reached")


def test_an_encoder_that_does_not_answer(tmp_path: Path) -> None:
    away = f"http://{NOWHERE}"
    with started(gateway.build(GatewaySettings(store_url=f"edge:{tmp_path}", encoder_url=away))) as service:
        says(service, "not open yet", "the encoder does not answer")
    with started(embedder.build(EmbedderSettings(log_url="memory:", encoder_url=away, loops=1), log=log())) as service:
        says(service, "the encoder at ENCODER_URL does not answer")
