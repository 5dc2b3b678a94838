"""From the options to an exit code: what is read first, and how a failure is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

from spanstream.standalone.composition import Composition, Plan
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.up import up

PLAN = Plan(frozenset({"gateway"}), "127.0.0.1", 0, 0, "memory:", "edge:unused", "hash:16")
Build = Callable[[Plan, DataFolder, Callable[[str], None]], Composition]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, shape = root.handlers[:], root.level, structlog.get_config()
    yield
    structlog.configure(**shape)
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level


def failing(error: Exception) -> Build:
    def build(plan: Plan, folder: DataFolder, progress: Callable[[str], None]) -> NoReturn:
        raise error

    return build


def started(folder: Path, build: Build) -> int:
    data = DataFolder(folder)
    return up(PLAN, data, build, with_samples=False, logs_to_stderr=False, as_json=False, began=time.monotonic())


def test_an_address_that_is_none_is_a_setting_that_is_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(tmp_path, failing(ValueError("LOG_URL must be kafka://host:port"))) == 1
    told = capsys.readouterr().err
    assert "The settings are not valid." in told
    assert "LOG_URL must be kafka://host:port" in told


def test_logs_have_the_level_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    started(tmp_path, failing(RuntimeError("enough")))
    assert logging.getLogger().level == logging.DEBUG


def test_a_setting_of_the_process_that_is_wrong_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    assert started(tmp_path / "data", failing(RuntimeError("not reached"))) == 1
    told = capsys.readouterr()
    assert "LOG_LEVEL" in told.err
    assert told.out == ""
    assert not (tmp_path / "data").exists()
