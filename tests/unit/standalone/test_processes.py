"""A service in a process of its own: its lines, its health, its end."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
import typer

from spanstream.runtime.http import PortInUse
from spanstream.standalone import commands, processes
from spanstream.standalone.composition import Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.processes import Child, ProcessDied
from spanstream.standalone.trouble import Trouble

PROGRAM = """
import os, signal, sys, threading
done = threading.Event()
signal.signal(signal.SIGTERM, lambda number, frame: done.set())
print(os.environ["WORD"], flush=True)
if os.environ.get("DIE"):
    sys.exit(3)
done.wait(90)
print("bye", flush=True)
"""


class Lines:
    """What a child wrote, with waiting."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.seen.append(line)
            self._changed.notify()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, 20)


def child(folder: Path, lines: Lines, **environment: str) -> Child:
    (folder / "program.py").write_text(PROGRAM)
    environment |= {"PYTHONPATH": str(folder)}
    return Child("worker", "program", environment, "http://127.0.0.1:9", DataFolder(folder), lines)


def test_a_process_that_cannot_be_started_is_said_at_once_with_the_reason(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    worker = Child("worker", "program", {}, "http://127.0.0.1:9", DataFolder(tmp_path / "gone"), print)
    with pytest.raises(ProcessDied, match=r"worker could not be started: .*No such file"):
        worker.start(failures.append)
    worker.stop(time.monotonic() + 1)
    assert failures == []


def test_child_gets_its_environment_and_ends_when_asked(tmp_path: Path) -> None:
    lines, failures = Lines(), list[BaseException]()
    worker = child(tmp_path, lines, WORD="hello world")
    worker.start(failures.append)
    lines.wait(1)
    assert worker.live()
    assert worker.unready()
    worker.stop(time.monotonic() + 10)
    lines.wait(2)
    assert lines.seen == ["worker    hello world", "worker    bye"]
    assert not worker.live()
    assert failures == []


def test_child_that_dies_is_reported(tmp_path: Path) -> None:
    died = threading.Event()
    failures: list[BaseException] = []

    def report(error: BaseException) -> None:
        failures.append(error)
        died.set()

    worker = child(tmp_path, Lines(), WORD="no room left here", DIE="1")
    worker.start(report)
    assert died.wait(90)
    assert isinstance(failures[0], ProcessDied)
    assert "exit code 3" in str(failures[0])
    assert "no room left here" in str(failures[0])
    assert str(tmp_path / "logs" / "processes.log") in str(failures[0])
    worker.stop(time.monotonic() + 5)


def test_index_in_a_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    plan = Plan(frozenset({"indexer"}), "127.0.0.1", 0, 0, None, f"edge:{tmp_path}", "inproc:minilm")
    with pytest.raises(Trouble, match="only one process") as caught:
        processes.build(plan, DataFolder(tmp_path), print)
    assert "--store-url" in caught.value.advice


def test_a_port_of_the_api_that_is_taken_is_found_before_anything_runs(tmp_path: Path) -> None:
    """The gateway's process died of it, and the panel spoke of something unexpected."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        plan = Plan(frozenset({"gateway"}), "127.0.0.1", port, 0, "memory:", "http://127.0.0.1:9", "http://127.0.0.1:9")
        with pytest.raises(PortInUse, match=f":{port} for api: Address already in use"):
            processes.build(plan, DataFolder(tmp_path), print)


def test_replicas_of_the_encoder_are_a_child_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODER_MODEL", "minilm,other")
    plan = commands._plan(tmp_path, commands.DEFAULT_TARGETS, 0, 0, None, None, None, encoder_replicas=2)
    assert "encoder" not in plan.targets
    assert plan.encoder_url.startswith("http://127.0.0.1:")
    assert plan.encoder_url.endswith("/minilm")
    service = processes.replicated(plan, DataFolder(tmp_path), print)
    assert service.name == "encoder"


@pytest.mark.parametrize(
    ("target", "encoder_url"), [("ingestor", None), (commands.DEFAULT_TARGETS, "http://elsewhere:8082")]
)
def test_replicas_without_an_encoder_of_ours_are_refused(tmp_path: Path, target: str, encoder_url: str | None) -> None:
    with pytest.raises(typer.BadParameter, match="must be among"):
        commands._plan(tmp_path, target, 0, 0, None, None, encoder_url, encoder_replicas=2)


def test_one_port_for_the_api_and_for_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"8700 is the port of the API \(--port\)") as caught:
        commands._plan(tmp_path, commands.DEFAULT_TARGETS, 8700, 8700, None, None, None)
    assert caught.value.param_hint == "--admin-port"
    assert commands._plan(tmp_path, commands.DEFAULT_TARGETS, 0, 0, None, None, None).port == 0  # any that are free
