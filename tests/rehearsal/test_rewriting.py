"""What a process is told otherwise than its manifest says: addresses and folders, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rehearsal import rewriting

HOSTS = {"spanstream-encoder": "127.5.5.2", "kafka:9092": "127.0.0.1:4711", "events.kafka:9093": "127.0.0.1:4712"}
FOLDERS = {"/tmp": Path("/scratch/tmp"), "/srv/blobs": Path("/scratch/claims/blobs"), "/etc/x": Path("/scratch/x")}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("0.0.0.0", "127.5.5.9"),
        ("http://spanstream-encoder:8082", "http://127.5.5.2:8082"),
        ("http://spanstream-encoder:8082/minilm", "http://127.5.5.2:8082/minilm"),
        ("kafka://kafka:9092", "kafka://127.0.0.1:4711"),
        ("kafka://kafka:9092,events.kafka:9093", "kafka://127.0.0.1:4711,127.0.0.1:4712"),
        ("/etc/x/keys.json", "/scratch/x/keys.json"),
        ("file:/srv/blobs", "file:/scratch/claims/blobs"),
        ("/tmp/windows", "/scratch/tmp/windows"),
    ],
)
def test_addresses_and_mounts_are_rewritten(said: str, told: str) -> None:
    assert rewriting.value(said, "127.5.5.9", HOSTS, FOLDERS) == told


@pytest.mark.parametrize(
    "said",
    [
        "8081",
        "spanstream-encoder",
        "kafka://kafka:9094",
        "http://elsewhere:80",
        "/tmpfs",
        "/srv",
        "sentences",
        "",
        "s3:x",
    ],
)
def test_everything_else_stays(said: str) -> None:
    assert rewriting.value(said, "127.5.5.9", HOSTS, FOLDERS) == said


def test_of_a_command_python_is_this_one_and_mounted_files_are_found() -> None:
    made = rewriting.command(["python", "/etc/x/smoke.py", "python"], "/venv/python", "127.5.5.9", HOSTS, FOLDERS)
    assert made == ["/venv/python", "/scratch/x/smoke.py", "/venv/python"]
