"""The ingestor as it runs: over HTTP, with its parsers' process, on the memory log and on a real Kafka."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from spanstream.eventlog.log import Log, Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.eventlog.opening import open_log
from spanstream.events import codec
from spanstream.events.topics import ALL
from spanstream.events.v1.failure_pb2 import REASON_ENCRYPTED
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.ingestor.service import Ingestor, build
from spanstream.ingestor.settings import IngestorSettings
from tests.unit.ingestor import files

SECONDS = 60.0


@contextmanager
def running(log: Log, folder: Path) -> Iterator[httpx.Client]:
    settings = IngestorSettings(log_url="memory:", blob_url=f"file:{folder}", http_port=0)
    service = build(settings, log=log)
    assert isinstance(service, Ingestor)
    failures: list[BaseException] = []
    service.start(failures.append)
    assert service.http is not None
    try:
        with httpx.Client(base_url=service.http.url, timeout=90) as client:
            yield client
    finally:
        service.stop(time.monotonic() + 10)
    assert not failures


def read(log: Log, topic: str, wanted: int, mine: Callable[[Record], bool] = lambda record: True) -> list[Record]:
    """The first `wanted` records of a topic, as they come."""
    consumer = log.consumer(f"test-{topic}-{time.time_ns()}", [topic])
    found: list[Record] = []
    deadline = time.monotonic() + SECONDS
    while len(found) < wanted and time.monotonic() < deadline:
        found += [record for record in consumer.poll(0.2) if mine(record)]
    consumer.close()
    return found


def passages(records: list[Record]) -> dict[str, PassageEvent]:
    events = [codec.decode(PassageEvent, record.key, record.value, record.headers) for record in records]
    return {event.id: event for event in events}


def test_every_format_becomes_passages_and_what_cannot_be_read_a_failure(tmp_path: Path) -> None:
    log = MemoryLog()
    log.ensure_topics(ALL)
    with running(log, tmp_path) as client:
        given = {
            "a.txt": b"Bees dance.",
            "b.md": b"# Bees\n\nThey dance.",
            "c.html": b"<title>Bees</title><p>They dance.",
            "d.pdf": files.pdf("Bees dance."),
            "e.docx": files.word(),
            "f.json": b'{"text": "Bees dance."}',
            "locked.pdf": files.pdf("x", password="secret"),
        }
        for name, data in given.items():
            response = client.post("/v1/sources/s/files", params={"filename": name}, content=data)
            assert response.status_code == 202, response.text
        found = passages(read(log, "passages.v1", 6))
        (failure,) = read(log, "failures.v1", 1)
    assert set(found) == set(given) - {"locked.pdf"}
    assert all("dance" in event.text for event in found.values())
    reason = codec.decode_failure(failure.value)
    assert (reason.stage, reason.reason, reason.id) == ("ingestor", REASON_ENCRYPTED, "locked.pdf")


def test_results_of_a_batch_come_while_it_is_still_being_sent(tmp_path: Path) -> None:
    log = MemoryLog()
    log.ensure_topics(ALL)
    with running(log, tmp_path) as client:
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=60) as connection, connection.makefile("rb") as answers:
            head = "POST /v1/sources/s/documents:batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            connection.sendall(head.encode())
            for number in (1, 2, 3):
                line = json.dumps({"id": str(number), "text": "Bees."}).encode() + b"\n"
                connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
                row = next(json.loads(answer) for answer in answers if answer.startswith(b"{"))
                assert (row["line"], row["status"]) == (number, "accepted")
            connection.sendall(b"0\r\n\r\n")


def test_a_batch_that_is_cut_off_keeps_what_was_accepted(tmp_path: Path) -> None:
    log = MemoryLog()
    log.ensure_topics(ALL)
    with running(log, tmp_path) as client:
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=60) as connection, connection.makefile("rb") as answers:
            line = json.dumps({"id": "1", "text": "Bees."}).encode() + b"\n"
            head = "POST /v1/sources/s/documents:batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
            connection.sendall(head.encode() + line)
            assert next(answer for answer in answers if answer.startswith(b"{"))
        assert client.put("/v1/sources/s/documents/2", json={"text": "Wasps."}).status_code == 202
        assert set(passages(read(log, "passages.v1", 2))) == {"1", "2"}


def test_an_answer_does_not_wait_for_a_delayed_acknowledgement(tmp_path: Path) -> None:
    log = MemoryLog()
    log.ensure_topics(ALL)
    with running(log, tmp_path) as client:
        seconds = []
        for _ in range(15):
            began = time.perf_counter()
            client.put("/v1/sources/s/documents/a", json={"text": "Bees."})
            seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.035  # a delayed acknowledgement costs each of them 40 ms


def test_documents_pass_through_a_real_kafka(kafka_url: str, tmp_path: Path) -> None:
    log = open_log(kafka_url)
    log.ensure_topics(ALL)
    source = f"ingestor-{time.time_ns()}"
    mine = f"/{source}/".encode()
    try:
        with running(log, tmp_path) as client:
            lines = b"".join(b'{"id": "%d", "text": "Bees dance. They tell."}\n' % number for number in range(300))
            answers = client.post(f"/v1/sources/{source}/documents:batch", content=lines).text.splitlines()
            assert {json.loads(answer)["status"] for answer in answers} == {"accepted"}
            assert len(answers) == 300
            found = passages(read(log, "passages.v1", 300, lambda record: mine in (record.key or b"")))
        assert set(found) == {str(number) for number in range(300)}
    finally:
        log.close()


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "LOG_URL"),
        ({"LOG_URL": "amqp:x", "BLOB_URL": "file:/tmp/x"}, "LOG_URL must be"),
        ({"LOG_URL": "memory:", "BLOB_URL": "file:/tmp/x", "INGESTOR_ROLES": "cook"}, "INGESTOR_ROLES"),
        ({"LOG_URL": "memory:", "BLOB_URL": "file:/tmp/x", "INGESTOR_PARSE_SECONDS": "61"}, "INGESTOR_PARSE_SECONDS"),
        ({"LOG_URL": "memory:", "BLOB_URL": "file:/tmp/x", "INGESTOR_NONSENSE": "1"}, "INGESTOR_NONSENSE"),
    ],
)
def test_wrong_settings_end_it_with_one_clear_message(variables: dict[str, str], complaint: str) -> None:
    command = [sys.executable, "-m", "spanstream.ingestor"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
