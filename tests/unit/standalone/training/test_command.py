"""`spanstream train` with a tiny model."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from spanstream.representations.model import load
from spanstream.representations.release import read_release
from spanstream.representations.training import checkpoint
from spanstream.standalone.encoder.texts import Piece
from spanstream.standalone.training import outcome, spool
from spanstream.standalone.training.command import train
from tests.unit.representations.tiny import LINES, build
from tests.unit.training.conftest import document

PASSAGES = 120  # of sixty a matrix learns something most times only
NO_LABELS = {"document": "", "queries": [], "negatives": {}}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    model = build(tmp_path / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    told = f"start: {model}\nsteps: 4\nbatch: 8\nevaluate_every: 2\nlearning_rate: 1.0e-3\n"
    told += "projection: {steps: 0}\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(told + "objectives: {sentences: {weight: 1, queries: 8}}\n")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    records = ({"_id": str(n), "text": " ".join(f"{line} It is number {n}." for line in LINES)} for n in range(40))
    path.write_text("\n".join(json.dumps(each) for each in records))
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer(add_completion=False)
    app.command()(train)
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "80"})


def said_by(done: Result) -> str:
    return " ".join(done.output.replace("│", " ").split())


def test_a_release_comes_out_that_loads_and_nothing_of_the_texts_stays(
    recipe: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(texts, "--recipe", recipe, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["steps"], report["passages"], [look["step"] for look in report["looks"]]) == (4, 40, [0, 2, 4])
    assert not report["offered"]  # four steps of a model of chance
    assert load(read_release(out / outcome.NOT_OFFERED)).name == report["release"]
    left = ["gate.json", "model", "not-offered.yaml", "training.json", "training.png"]
    assert sorted(path.name for path in out.iterdir()) == left
    card = (out / "model" / "README.md").read_text()
    assert report["start"] in card
    assert "Evaluation gate: not passed" in card
    again = run(texts, "--recipe", recipe, "--out", out)
    assert again.exit_code == 2
    assert "holds a trained model already" in " ".join(again.output.replace("│", " ").split())


def test_a_training_that_was_stopped_goes_on_with_what_it_read(recipe: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    read = "\n".join(
        json.dumps({"text": f"This is {n}. That is {n + 1}.", "title": "", **NO_LABELS}) for n in range(40)
    )
    (out / spool.FILE).write_text(read)
    (out / spool.ASKED).write_text(json.dumps([str(texts)]))
    others = run(recipe, "--recipe", recipe, "--out", out)
    assert others.exit_code == 2
    assert "was begun with other documents" in said_by(others)
    done = run(texts, "--recipe", recipe, "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads((out / "training.json").read_text())["passages"] == 40
    assert "read before" in " ".join(done.output.split())
    assert "is not offered" in done.output
    assert f"ENCODER_MODEL={out / outcome.NOT_OFFERED}" in done.output

    learnt = (out / outcome.REPORT).read_bytes()
    (out / spool.FILE).write_text(read)  # as if it had been killed while it was judged
    (out / outcome.GATE).unlink()
    again = run(texts, "--recipe", recipe, "--out", out)
    assert again.exit_code == 0, again.output
    assert (out / outcome.REPORT).read_bytes() == learnt
    assert (out / outcome.GATE).exists()
    assert not (out / spool.FILE).exists()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("objectives: {magic: {}}", "'magic' is none of consensus"),
        ("start: nowhere/at/all/it/is", "no model folder"),
        ("objectives: {pairs: {}}", "pairs learns from judged queries"),
        ("rank: 100000", "rank must be below"),
    ],
)
def test_what_cannot_be_done_is_said(told: str, said: str, recipe: Path, texts: Path, tmp_path: Path) -> None:
    kept = [line for line in recipe.read_text().splitlines() if line.partition(":")[0] != told.partition(":")[0]]
    recipe.write_text("\n".join([*kept, told]))
    done = run(texts, "--recipe", recipe, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert said in said_by(done)
    assert not (tmp_path / "out").exists()


def test_passages_that_no_training_wrote_are_named(recipe: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / spool.FILE).write_text(texts.read_text())
    done = run(texts, "--recipe", recipe, "--out", out)
    assert done.exit_code == 2
    assert "line 1: no passage of a training" in said_by(done)
    assert (out / spool.FILE).exists()


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(
    recipe: Path, texts: Path, tmp_path: Path
) -> None:
    done = run(texts, "--recipe", recipe, "--out", tmp_path / "out", "--device", "cuda:99")
    assert done.exit_code == 2
    assert "no device cuda:99 here" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_two_do_not_write_to_one_folder(recipe: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    refused = run(texts, "--recipe", recipe, "--out", out)
    os.close(held)
    assert refused.exit_code == 2
    assert "another training writes to" in said_by(refused)
    assert not list(out.iterdir())
    assert run(texts, "--recipe", recipe, "--out", out).exit_code == 0


def test_a_checkpoint_of_passages_that_are_gone_is_not_gone_on_from(recipe: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / checkpoint.FILE).touch()
    refused = run(texts, "--recipe", recipe, "--out", out)
    assert refused.exit_code == 2
    assert "not the passages that it has learnt from" in said_by(refused)


def test_fewer_gpus_than_workers_are_refused(
    recipe: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    refused = run(texts, "--recipe", recipe, "--out", tmp_path / "out", "--workers", 2, "--device", "cuda")
    assert refused.exit_code == 2
    assert "1 GPUs are here for 2 workers" in said_by(refused)


def test_texts_that_are_all_the_same_are_too_little(recipe: Path, tmp_path: Path) -> None:
    record = {"text": "It is what it is."}
    (tmp_path / "same.jsonl").write_text("\n".join(json.dumps({"_id": str(n), **record}) for n in range(60)))
    done = run(tmp_path / "same.jsonl", "--recipe", recipe, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "different passages to learn from; 20 are needed" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    assert run(tmp_path / "same.jsonl", "--recipe", recipe, "--out", tmp_path / "mine").exit_code == 2
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("written", "said"),
    [("{", "damaged"), ('{"release": "a"}', "lacks model, start, passages"), ("[]", "lacks release")],
)
def test_the_folder_of_another_version_or_a_damaged_one_is_said(written: str, said: str, tmp_path: Path) -> None:
    (tmp_path / outcome.REPORT).write_text(written)
    with pytest.raises(outcome.OutcomeInvalid, match=said):
        outcome.read(tmp_path)


def test_one_document_is_too_little_and_more_are_read_anew(recipe: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("All alone.")
    done = run(tmp_path / "one.txt", "--recipe", recipe, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "different passages to learn from" in " ".join(done.output.replace("│", " ").split())
    more = run(tmp_path / "one.txt", texts, "--recipe", recipe, "--out", tmp_path / "out")
    assert more.exit_code == 0, more.output
    assert json.loads((tmp_path / "out" / "training.json").read_text())["passages"] == 41


def test_judged_queries_are_learnt_by_half_and_judged_by_half(recipe: Path, texts: Path, tmp_path: Path) -> None:
    judged = tmp_path / "judged"
    judged.mkdir()
    (judged / "corpus.jsonl").write_text(texts.read_text())
    queries = ({"_id": f"q{n}", "text": f"which documents hold number {n}"} for n in range(40))
    (judged / "queries.jsonl").write_text("\n".join(json.dumps(each) for each in queries))
    rows = "".join(f"q{n}\t{n}\t1\n" for n in range(40))
    (judged / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    recipe.write_text(recipe.read_text().replace("{sentences: {weight: 1, queries: 8}}", "{pairs: {weight: 1}}"))
    done = run("--recipe", recipe, "--data", judged, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["passages"] == 40  # of the judged set alone
    assert 0 < report["labels"] < 40
    assert report["gate"]["asked"]["queries"] == 40 - report["labels"]
    (tmp_path / "out" / spool.FILE).write_text(
        "".join(json.dumps({"text": f"It is {n}.", "title": "", **NO_LABELS}) + "\n" for n in range(40))
    )  # as if it had been killed while it was judged; and its recipe is not named again
    again = run("--data", judged, "--out", tmp_path / "out", "--json")
    assert json.loads(again.stdout)["gate"]["asked"]["queries"] == 40 - report["labels"]
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / spool.FILE).write_text(json.dumps({"text": "It is 1.", "title": "", **NO_LABELS}) + "\n")
    unlabelled = run("--recipe", recipe, "--data", judged, "--out", begun)
    assert unlabelled.exit_code == 2
    assert "was begun without the labels" in said_by(unlabelled)
    (judged / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}q1\tgone\t1\n")
    refused = run("--recipe", recipe, "--data", judged, "--out", tmp_path / "other")
    assert refused.exit_code == 2
    assert "'gone' for query 'q1'" in " ".join(refused.output.replace("│", " ").split())
    assert not (tmp_path / "other").exists()


def test_without_steps_only_a_matrix_behind_the_model_learns_and_what_was_killed_learns_the_same(
    tmp_path: Path,
) -> None:
    model = build(tmp_path / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    recipe, texts, out = tmp_path / "recipe.yaml", tmp_path / "texts.jsonl", tmp_path / "out"
    recipe.write_text(f"start: {model}\nprojection: {{learning_rate: 3.0e-3}}\n")
    said = (document(number) for number in range(PASSAGES))
    texts.write_text("\n".join(json.dumps({"_id": each.text, "text": each.text}) for each in said))
    done = run(texts, "--recipe", recipe, "--out", out, "--steps", 0, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["steps"], report["kept"]) == (0, 0)
    assert report["projection"]["kept"] > 0
    release = read_release(outcome.release(out))
    assert release.transforms_file == out / outcome.PROJECTION
    whole, plain = load(release), load(str(out / "model"))
    assert (whole.name, whole.dimension) == (report["release"], plain.dimension)
    assert whole.fingerprint != plain.fingerprint
    assert outcome.PROJECTION in (out / "model" / "README.md").read_text()

    told = json.loads((out / outcome.REPORT).read_text())
    first = told.pop("projection")
    (out / outcome.REPORT).write_text(json.dumps(told))  # as if it had been killed before the matrix was written
    (out / outcome.PROJECTION).unlink()
    spool.write(
        spool.documents([Piece(each.text, "", each.text) for each in map(document, range(PASSAGES))]), out, [str(texts)]
    )
    again = run(texts, "--recipe", recipe, "--out", out)
    assert again.exit_code == 0, again.output
    assert json.loads((out / outcome.REPORT).read_text())["projection"] == first
    assert "The matrix behind the model" in again.output
