from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spanstream.standalone.evaluation.command import evaluate

app = typer.Typer()
app.command()(evaluate)
WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"}


def collection(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "a text"}) + "\n")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "a query"}) + "\n")
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "has no corpus.jsonl"),
        (["set", "--mode", "psychic"], "psychic is none of hybrid, dense, spans, lexical"),
        (["set", "other/set"], "two sets have the same name"),
        (["set", "--out", "absent/out.json"], "absent/out.json is no file in a folder that exists"),
        (["set", "--plot", "set"], "set is no file in a folder that exists"),
        (["set", "--against", "absent.json"], "absent.json is not what --out wrote"),
        (["set", "--against", "set/corpus.jsonl"], "is not what --out wrote"),
        (["bad"], "spans.tsv:2 has no number"),
    ],
)
def test_wrong_use_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("set", "other/set", "bad"):
        collection(Path(folder))
    Path("bad/spans.tsv").write_text("query-id\tcorpus-id\tstart\tend\nq\td\there\tthere\n")
    done = CliRunner().invoke(app, arguments, env=WIDE)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_spanstream_that_does_not_start_is_explained(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(collection(tmp_path / "set"))], env=WIDE | {"ENCODER_MODEL": "/no/such/model"})
    assert done.exit_code == 1
    assert "Spanstream did not start" in done.output
    assert "/no/such/model" in done.output
