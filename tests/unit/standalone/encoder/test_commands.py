"""The commands with the real model on a few texts that the test writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.command import app as encoder

WIDE = {"COLUMNS": "160", "TERMINAL_WIDTH": "160"}
SUBJECTS = ["bridges", "whales", "violins", "volcanoes", "bakeries", "glaciers"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    records = [
        {"_id": f"{subject}-{number}", "text": f"Note {number} is about {subject}. " + f"They are {subject}. " * 12}
        for subject in SUBJECTS
        for number in range(4)
    ]
    (folder / "notes.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    (folder / "short.txt").write_text("A short one.")
    return folder


def test_diagnose_prints_json_and_draws(texts: Path, tmp_path: Path) -> None:
    picture = tmp_path / "out.png"
    done = CliRunner().invoke(encoder, ["diagnose", str(texts), "--plot", str(picture), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["texts"], found["of"], found["dimension"]) == (25, 25, 384)
    values = {each["name"]: each["value"] for each in found["measures"]}
    assert 0 < values["mean cosine"] < 0.9
    assert {"hubness", "position bias", "alignment", "effective rank"} <= values.keys()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_diagnose_prints_a_table_for_people(texts: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(encoder, ["diagnose", str(texts), "--plot", str(tmp_path / "out.png")], env=WIDE)
    assert done.exit_code == 0, done.output
    assert " on 25 texts" in done.stdout
    assert "of two random texts; near 1: all look alike" in done.stdout
    assert "25 texts are few for 384 dimensions" in done.stderr


def test_diagnose_takes_texts_too_short_for_parts(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("".join(f'{{"_id": {n}, "text": "note {n}"}}\n' for n in range(20)))
    arguments = ["diagnose", str(tmp_path / "notes.jsonl"), "--plot", str(tmp_path / "out.png"), "--json"]
    done = CliRunner().invoke(encoder, arguments)
    assert done.exit_code == 0, done.output
    assert "position bias" not in {each["name"] for each in json.loads(done.stdout)["measures"]}


def test_compare_of_a_model_with_itself_shows_no_difference(tmp_path: Path) -> None:
    documents = [{"_id": subject, "text": f"All about {subject}."} for subject in SUBJECTS]
    queries = [{"_id": f"{s}{n}", "text": f"question {n}: {s}"} for s in SUBJECTS for n in range(4)]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in documents))
    (tmp_path / "queries.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in queries))
    judged = "".join(f"{query['_id']}\t{query['_id'][:-1]}\t1\n" for query in queries)
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    done = CliRunner().invoke(encoder, ["compare", "minilm", "minilm", "--data", str(tmp_path)], env=WIDE)
    assert done.exit_code == 0, done.output
    assert "nDCG@10" in done.stdout
    assert "recall@100" in done.stdout
    assert "No difference in nDCG@10 is shown between A (minilm) and B (minilm)" in " ".join(done.stdout.split())


def test_compare_reads_scored_pairs(tmp_path: Path) -> None:
    pairs = [f"{2 if one == two else 0}\tabout {one}\ton {two}\n" for one in SUBJECTS for two in SUBJECTS]
    (tmp_path / "pairs.tsv").write_text("score\tone\ttwo\n" + "".join(pairs))
    done = CliRunner().invoke(encoder, ["compare", "minilm", "minilm", "--data", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["measure"] for row in found["rows"]] == ["Spearman", "Pearson"]
    assert found["rows"][1]["a"] > 60
    assert not found["rows"][0]["shown"]
    assert found["sentence"].startswith("No difference in Spearman is shown")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnose", "absent.txt"], "no such file or folder: absent.txt"),
        (["diagnose", "few.txt"], "1 different texts found"),
        (["diagnose", "few.txt", "--plot", "absent/out.png"], "absent/out.png is no file in a folder that exists"),
        (["diagnose", "few.txt", "--plot", "pairs"], "pairs is no file in a folder that exists"),
        (["diagnose", "bad.jsonl"], "not read: bad.jsonl:1: not valid JSON"),
        (["compare", "minilm", "minilm", "--data", "."], "has no corpus.jsonl"),
        (["compare", "/no/such/model", "minilm", "--data", "pairs"], "no model folder and no reachable model"),
    ],
)
def test_wrong_use_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("few.txt").write_text("one text")
    Path("bad.jsonl").write_text("not json\n")
    Path("pairs").mkdir()
    Path("pairs/pairs.tsv").write_text("score\tone\ttwo\n1\ta\tb\n")
    done = CliRunner().invoke(encoder, arguments, env=WIDE)
    assert done.exit_code == 2
    assert message in done.output


def test_an_interrupt_ends_with_its_own_line_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    with pytest.raises(typer.Exit) as ended, encoding.told():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "nothing was written" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["diagnose", "compare", "evaluate"])
def test_help_is_whole_in_eighty_columns(command: str) -> None:
    done = CliRunner().invoke(encoder, [command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0
    assert "…" not in done.output
    assert "--json" in done.output
