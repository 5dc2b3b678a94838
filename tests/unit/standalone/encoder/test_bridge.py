"""`spanstream encoder bridge` between two small models that are made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spanstream.representations.bridge import Bridge
from spanstream.standalone.encoder.command import app as encoder
from tests.unit.representations.tiny import WIDTH, build

WIDE = {"COLUMNS": "160", "TERMINAL_WIDTH": "160"}
SUBJECTS = ["bridges", "whales", "violins", "volcanoes", "bakeries", "glaciers", "harbours", "orchards"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    made = (
        build(folder / "old", "bert", {"pooling_mode": "mean"}),
        build(folder / "new", "roberta", {"pooling_mode": "mean"}),
    )
    return str(made[0]), str(made[1])


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    documents = [
        {"_id": one, "text": f"All about {one}. Some {one} are old. Nobody counts {one} at night."} for one in SUBJECTS
    ]
    queries = [{"_id": f"{one}{n}", "text": f"question {n}: {one}"} for one in SUBJECTS for n in range(3)]
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in documents))
    (folder / "queries.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in queries))
    rows = "".join(f"{query['_id']}\t{query['_id'][:-1]}\t1\n" for query in queries)
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    records = [
        {"_id": f"{one}{n}", "text": f"Note {n} is about {one}. They are {one}, {n} of them."}
        for one in SUBJECTS
        for n in range(3)
    ]
    (tmp_path / "notes.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return tmp_path / "notes.jsonl"


def test_it_writes_a_bridge_and_says_what_it_keeps(
    models: tuple[str, str], judged: Path, notes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bridge.safetensors"
    asked = ["bridge", *models, str(notes), "--out", str(out), "--data", str(judged)]
    done = CliRunner().invoke(encoder, asked, env=WIDE)
    assert done.exit_code == 0, done.output
    for words in ("orthogonal", "nDCG@10", "over the bridge"):
        assert words in done.stdout
    made = Bridge.load(out)
    assert made.weight.shape == (WIDTH, WIDTH)
    assert made.rows == 24 * 3  # a passage and its two sentences
    again = CliRunner().invoke(encoder, [*asked, "--json"])
    told = json.loads(again.stdout)
    assert (told["source"], told["target"], told["vectors"]) == (made.source, made.target, 72)
    assert told["kept"]["nDCG@10"].keys() == {"anew", "bridge"}


def test_what_cannot_be_fitted_is_refused_and_writes_nothing(
    models: tuple[str, str], judged: Path, notes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bridge.safetensors"
    (tmp_path / "none").mkdir()
    same = tmp_path / "same.jsonl"
    same.write_text("".join(f'{{"_id": "{number}", "text": "All alike."}}\n' for number in range(60)))
    for arguments, words in (
        ([*models, str(tmp_path / "none")], "0 texts are too few for a bridge"),
        ([*models, str(same)], "the texts are all the same"),
        ([models[0], models[0], str(notes)], "nothing is between them"),
        ([*models, str(notes), "--sample", "5"], "are too few for a bridge"),
        ([*models, str(notes), "--data", str(tmp_path)], "has no corpus.jsonl"),
    ):
        done = CliRunner().invoke(encoder, ["bridge", *arguments, "--out", str(out)], env=WIDE)
        assert done.exit_code == 2, done.output
        assert words in done.output
        assert not out.exists()
