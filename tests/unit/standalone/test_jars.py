from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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


@pytest.mark.parametrize("cut", ["", "org.apache.kafka:kafka_2.13:1.0.0"])
def test_a_list_of_jars_that_was_cut_is_written_again(cut: str, tmp_path: Path) -> None:
    """An empty one, left by a full disk or a kill, ended every later start."""
    jar, listing = tmp_path / "kafka.jar", tmp_path / "classpath.txt"
    jar.write_bytes(b"")
    listing.write_text(cut)
    assert jars.class_path(listing, print, lambda coordinates: [jar]) == [jar]
    assert jars.class_path(listing, print, lambda coordinates: pytest.fail("known by now")) == [jar]


def test_a_list_of_jars_that_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> int:
        with path.open("w") as file:
            file.write(text[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        jars.class_path(tmp_path / "classpath.txt", print, lambda coordinates: [tmp_path / "kafka.jar"])
    assert not (tmp_path / "classpath.txt").exists()
