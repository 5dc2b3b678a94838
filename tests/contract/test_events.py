"""The wire format: committed code equals proto/, golden bytes decode for ever, dead letters fit their topic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spanstream.events import topics
from spanstream.events.v1.document_pb2 import DocumentEvent
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import FailureEvent
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.events.v1.passage_pb2 import PassageEvent
from tests.conftest import ROOT

GOLDEN = Path(__file__).parent / "golden"
MESSAGES = (DocumentEvent, PassageEvent, EmbeddingEvent, FailureEvent, MatchEvent)
ENVELOPE_BYTES = 64 * 1024  # what a dead letter may add to a record: its fields, and headers


def test_generated_code_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/generate_events.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.DESCRIPTOR.name)
@pytest.mark.promise("I22")
def test_golden_bytes_decode_to_what_was_meant(message: type) -> None:
    name = message.DESCRIPTOR.name  # type: ignore[attr-defined]
    decoded = message.FromString((GOLDEN / f"{name}.v1.bin").read_bytes())  # type: ignore[attr-defined]
    assert str(decoded) == (GOLDEN / f"{name}.v1.txt").read_text()
    unset = [field.name for field, value in decoded.ListFields() if not value]
    assert not unset


def test_golden_bytes_of_a_resolution_decode_and_say_nothing_of_any_document() -> None:
    decoded = FailureEvent.FromString((GOLDEN / "FailureEvent.resolution.v1.bin").read_bytes())
    assert str(decoded) == (GOLDEN / "FailureEvent.resolution.v1.txt").read_text()
    assert (decoded.tenant, decoded.source, decoded.id) == ("", "", "")  # what a release before resolutions looks at


def test_every_topic_carries_a_known_message_and_the_same_number_of_partitions() -> None:
    names = {message.DESCRIPTOR.full_name for message in MESSAGES}
    assert {topic.message for topic in topics.ALL} == names
    assert len({topic.partitions for topic in topics.ALL}) == 1


def test_a_dead_letter_fits_the_largest_record_of_any_topic() -> None:
    largest = max(topic.max_message_bytes for topic in topics.ALL if topic.dead_letters)
    assert largest + ENVELOPE_BYTES <= topics.FAILURES.max_message_bytes
    assert {topic.dead_letters for topic in topics.ALL} == {topics.FAILURES.name, None}


def test_the_metrics_page_is_current() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools/metrics_doc.py"), "--check"], check=False)
    assert done.returncode == 0, "docs/metrics.md is stale: run `make metrics-doc`"
