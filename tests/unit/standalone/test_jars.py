from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jgo
import pytest

from spanstream.standalone import jars


def test_one_resolves_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """jgo 3 stops where a jar appears while it is being downloaded: two starts with an empty cache met there."""
    inside, most = threading.Semaphore(1), []

    def build(coordinates: str) -> SimpleNamespace:
        alone = inside.acquire(blocking=False)
        most.append(alone)
        time.sleep(0.05)
        if alone:
            inside.release()
        return SimpleNamespace(all_jars=["a.jar"])

    monkeypatch.setattr(jgo, "build", build)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(jars.resolve, ["x:y:1"] * 4))
    assert most == [True] * 4
