"""Starting, stopping and starting again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fixtures.product import Product, command

LINE = b'{"_id": "pier", "text": "The ferry to the island leaves from pier seven."}\n'


def test_over_a_kill_and_a_stop_in_the_middle_of_much_work_everything_stays(tmp_path: Path) -> None:
    """One life after the other of the same folder; the last one ends because the index is damaged."""
    text = " ".join(f"Sentence {number} is about the tides, the moon and the sea." for number in range(200))
    much = b"".join(b'{"_id": "%d", "text": "%s"}\n' % (number, text.encode()) for number in range(16))
    with Product.start(tmp_path, "--no-samples") as first:
        first.wait_ready()
        assert first.run("ingest", "-", "--source", "ferry", input=LINE).returncode == 0
        first.stop(signal.SIGKILL)
    with Product.start(tmp_path, "--no-samples") as second:
        second.wait_ready()
        (hit,) = second.json("search", "where does the ferry leave", "-n", "1")["hits"]
        assert hit["id"] == "pier"
        assert second.json("ingest", "-", "--source", "ferry", input=LINE)["counts"]["unchanged"] == 1
        second.wait_for("1 can be searched")
        assert second.run("ingest", "-", "--source", "sea", "--no-wait", input=much).returncode == 0
        second.wait_for_metric("encoder_tokens_total")  # the model is at work on a batch that takes many seconds
        assert second.stop() == 0, second.terminal  # else a service was late: their deadline is 10 s
        assert "Stopped." in second.terminal
    with Product.start(tmp_path, "--no-samples") as third:
        third.wait_ready()
        states = [third.json("status", str(number), "--source", "sea", "--wait")["state"] for number in range(16)]
        assert states == ["searchable"] * 16
        assert third.json("status", "pier", "--source", "ferry")["state"] == "searchable"
        assert third.stop() == 0, third.terminal
    for path in (tmp_path / "index").rglob("*"):
        if path.is_file() and path.suffix == ".json":
            path.write_bytes(b"\x00 damaged")
    done = command(tmp_path, "up", "--no-samples", "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    message = done.stderr.decode()
    words = message.replace("│", "").split()
    assert str(tmp_path / "index") in "".join(words)
    assert {"delete", "ingest", "again:"} <= set(words)
    assert "Traceback" not in message


def test_another_encoder_than_the_indexs_is_refused_and_the_way_is_told(tmp_path: Path) -> None:
    with Product.start(tmp_path, "--no-samples", "--encoder-url", "hash:64") as product:
        product.wait_ready()
        assert product.run("ingest", "-", "--source", "ferry", input=LINE).returncode == 0
        product.stop(seconds=120)
    done = command(tmp_path, "up", "--no-samples", "--port", "0", "--admin-port", "0", "--encoder-url", "hash:32")
    assert done.returncode == 1
    message = " ".join(done.stderr.decode().replace("│", "").split())
    assert "holds 1 documents in generation hash-64-64-" in message
    assert "spanstream migrate plan RELEASE" in message
    assert "INDEXER_REPLACES_GENERATION=hash-64-64-" in message
    assert "Traceback" not in message


def test_a_wrong_release_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = tmp_path / "release.yaml"
    release.write_text("release: mine-1\nmodel_name_or_path: minilm\npoling: {}\n")
    monkeypatch.setenv("ENCODER_MODEL", str(release))
    done = command(tmp_path, "up", "--no-samples", "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    message = " ".join(done.stderr.decode().replace("│", "").split())
    assert "poling is not known here" in message
    assert "Traceback" not in message


def test_first_corpus_that_was_interrupted_continues_and_is_then_left_alone(tmp_path: Path, long: bool) -> None:
    if not long:
        pytest.skip("takes minutes: --long")
    with Product.start(tmp_path) as first:
        first.wait_for("Python's documentation: ")
        assert first.stop() == 0
    with Product.start(tmp_path) as second:
        second.wait_for("can be searched", 600)
        assert "Python's documentation" in second.terminal
        assert "«" in second.terminal
        assert second.stop() == 0
    with Product.start(tmp_path) as third:
        third.wait_for("can be searched")
        assert "Python's documentation" not in third.terminal
