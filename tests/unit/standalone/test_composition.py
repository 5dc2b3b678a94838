"""The services of one process get what their settings say."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder.http import HttpEncoder
from spanstream.standalone import composition
from spanstream.standalone.composition import Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.migration import record
from spanstream.standalone.migration.record import Recorded
from spanstream.standalone.trouble import Trouble


class Asked(ThreadingHTTPServer):
    """A Qdrant server that refuses everything and remembers the key of each request."""

    def __init__(self) -> None:
        keys: queue.Queue[str | None] = queue.Queue()

        class Refuse(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.put(self.headers.get("api-key"))
                self.send_error(503)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Refuse)
        self.keys = keys
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def qdrant() -> Iterator[Asked]:
    with Asked() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def plan(target: str, store_url: str, encoder_url: str) -> Plan:
    return Plan(frozenset({target}), "127.0.0.1", 0, 0, "memory:", store_url, encoder_url)


def test_a_release_that_the_index_was_moved_to_and_that_is_gone_is_named(tmp_path: Path) -> None:
    record.write(tmp_path, Recorded(encoder=str(tmp_path / "bees" / "release.yaml")))
    with pytest.raises(Trouble, match=r"moved to .*release\.yaml, which is not there") as told:
        composition.build(plan("gateway", f"edge:{tmp_path}", "hash:16"), DataFolder(tmp_path), lambda message: None)
    assert "Put that release back" in told.value.advice


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")  # it does not leave this machine
def test_key_of_the_store_is_sent_to_it(qdrant: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_API_KEY", "secret")
    folder = DataFolder(tmp_path)
    folder.key()
    made = composition.build(plan("gateway", qdrant.url, "hash:16"), folder, lambda message: None)
    try:
        for service in made.services:
            service.start(lambda error: None)
        assert qdrant.keys.get(timeout=60) == "secret"
    finally:
        for service in reversed(made.services):
            service.stop(time.monotonic() + 10)


def test_encoder_of_another_process_is_opened_by_each_service_with_its_own_limits(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.key()
    made = composition.build(plan("embedder", "edge:unused", "http://127.0.0.1:9"), folder, lambda message: None)
    (shared,) = (service for service in made.services if service.name == "shared")
    try:
        assert not any(isinstance(each, HttpEncoder) for each in vars(shared)["_resources"])
    finally:
        for service in reversed(made.services):
            service.stop(time.monotonic() + 10)


def test_store_is_compressed_as_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_COMPRESSION", "turbo4")
    folder = DataFolder(tmp_path)
    folder.key()
    made = composition.build(plan("gateway", f"edge:{tmp_path / 'index'}", "hash:16"), folder, lambda message: None)
    try:
        for service in made.services:
            service.start(lambda error: None)
        deadline = time.monotonic() + 60
        while not (config := next((tmp_path / "index").glob("*/passages/edge_config.json"), None)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert '"bits4"' in config.read_text()
    finally:
        for service in reversed(made.services):
            service.stop(time.monotonic() + 10)


def test_the_model_in_this_process_is_the_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCODER_MODEL", "mine.yaml")
    folder = DataFolder(tmp_path)
    chosen = composition.settings(plan("encoder", "edge:unused", composition.IN_PROCESS), folder, "memory:")["encoder"]
    assert isinstance(chosen, EncoderSettings)
    assert (chosen.model, chosen.cache_folder) == ("mine.yaml", folder.windows)
