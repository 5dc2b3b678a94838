from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from spanstream.embedder.service import build
from spanstream.embedder.settings import DeploymentSettings, EmbedderSettings, EncoderSettings
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import codec
from spanstream.events.topics import ALL, EMBEDDINGS
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.runtime.settings import SettingsError
from tests.fixtures.passages import message

SETTINGS = {"log_url": "memory:", "encoder_url": "hash:16"}


def test_what_is_published_to_passages_is_embedded() -> None:
    log = MemoryLog()
    log.ensure_topics(ALL)
    failures: list[BaseException] = []
    service = build(EmbedderSettings(**SETTINGS), log=log, encoder=HashEncoder(16))
    service.start(failures.append)
    ids = {f"d{i}" for i in range(40)}
    producer = log.producer()
    producer.publish([message(id) for id in ids])
    reader = log.consumer("test", [EMBEDDINGS.name])
    seen = set()
    deadline = time.monotonic() + 60
    while len(seen) < len(ids) and time.monotonic() < deadline:
        for record in reader.poll(0.1):
            seen.add(codec.decode(EmbeddingEvent, record.key, record.value, record.headers).origin.id)
    assert seen == ids
    assert not service.unready()
    assert service.live()
    service.stop(time.monotonic() + 10)
    assert failures == []
    assert threading.active_count() < 20
    reader.close()
    producer.close()


def test_a_poll_that_could_outlast_the_poll_interval_is_refused() -> None:
    with pytest.raises(SettingsError, match="EMBEDDER_MAX_POLL_RECORDS"):
        EmbedderSettings.read(**SETTINGS, max_poll_records=100)


def test_the_shared_address_is_no_unknown_setting_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODER_URL", "http://encoder:8081")
    monkeypatch.setenv("ENCODER_MODEL", "folder")
    assert EncoderSettings.read().model == "folder"


def test_each_model_of_a_deployment_answers_under_the_last_part_of_its_name() -> None:
    settings = DeploymentSettings.read(model="minilm,/models/bge-small-v1.5/,BAAI/other")
    assert settings.routes == {"minilm": "minilm", "bge-small-v1.5": "/models/bge-small-v1.5/", "other": "BAAI/other"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"model": "a/same,b/same"}, "ENCODER_MODEL"),
        ({"model": "one,"}, "ENCODER_MODEL"),
        ({"model": "a b"}, "ENCODER_MODEL"),
        ({"model": ""}, "ENCODER_MODEL"),
        ({"replicas": 3, "max_replicas": 2}, "ENCODER_MAX_REPLICAS"),
        ({"gpus": 1}, "ENCODER_DEVICE"),
        ({"device": "cuda"}, "ENCODER_GPUS"),
        ({"max_requests": 4, "query_requests": 4}, "ENCODER_QUERY_REQUESTS"),
        ({"max_body_bytes": 129 << 20}, "ENCODER_MAX_BODY_BYTES"),
        ({"max_answer_bytes": 161 << 20}, "ENCODER_MAX_ANSWER_BYTES"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        DeploymentSettings.read(**given)


def test_the_worker_imports_neither_torch_nor_ray_nor_the_representations() -> None:
    code = (
        "import sys, spanstream.embedder.__main__;"
        "print([n for n in ('torch', 'ray', 'transformers', 'spanstream.representations') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
