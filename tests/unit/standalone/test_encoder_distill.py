"""`spanstream encoder distill` with a tiny teacher on a few texts that the test writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spanstream.encoder.encoder import Text, check
from spanstream.representations.local import open_local
from spanstream.standalone.encoder.command import app as encoder
from tests.unit.representations.tiny import LINES, build

ROOM = {"COLUMNS": "80", "TERMINAL_WIDTH": "80"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("teacher") / "bert", "bert", {"pooling_mode_mean_tokens": True}))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    records = [{"_id": str(i), "text": f"{LINES[i % 4]} Number {i}. {LINES[(i + 1) % 4]}"} for i in range(130)]
    (tmp_path / "notes.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return str(tmp_path / "notes.jsonl")


def test_a_folder_is_written_that_opens_as_a_model(teacher: str, texts: str, tmp_path: Path) -> None:
    out = tmp_path / "static"
    asked = ["distill", texts, "--model", teacher, "--out", str(out), "--sample", "120", "--dimension", "16", "--json"]
    done = CliRunner().invoke(encoder, asked)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["passages"], found["of"], found["dimension"]) == (120, 130, 16)
    opened = open_local(str(out))
    assert opened.info().release == found["release"]
    text = Text("A library buys books.", np.array([[2, 9]], np.int32))
    check([text], opened.encode([text]), 16)
    again = CliRunner().invoke(encoder, asked)
    assert json.loads(again.stdout)["release"] == found["release"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--dimension", "33"], "1 to 32"),
        (["--sample", "50"], "100 different texts"),
        (["missing.txt"], "missing.txt"),
        (["--out", "no/such/folder"], "no/such"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    teacher: str, texts: str, tmp_path: Path, change: list[str], message: str
) -> None:
    done = CliRunner().invoke(encoder, ["distill", texts, "--model", teacher, "--out", str(tmp_path / "x"), *change])
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", "").split())
    assert not (tmp_path / "x").exists()


def test_its_help_is_whole_in_eighty_columns() -> None:
    done = CliRunner().invoke(encoder, ["distill", "--help"], env=ROOM)
    assert done.exit_code == 0
    assert "…" not in done.output
