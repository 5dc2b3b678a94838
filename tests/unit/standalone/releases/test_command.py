"""The commands on a folder as a training leaves it, with a tiny model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from spanstream.representations.model import fingerprint, load, named
from spanstream.representations.release import read_release
from spanstream.standalone.encoder.command import app as encoder
from spanstream.standalone.releases.command import app
from spanstream.standalone.training import outcome, spool
from tests.unit.representations.tiny import LINES, build

LOOKS = [{"step": 0, "losses": {"sentences": 1.0}, "total": 1.0}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder that nobody has judged, judged queries, and scored pairs with commas."""
    root = tmp_path_factory.mktemp("releases")
    bees, judged = root / "bees", root / "judged"
    model = build(bees / "model", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    release = {"release": "bees-1", "model_name_or_path": "model", "revision": f"sha256:{fingerprint(model)}"}
    (bees / outcome.NOT_OFFERED).write_text(yaml.safe_dump(release))
    told = {"release": "bees-1", "model": release["revision"], "start": "minilm@1", "start_fingerprint": "1"}
    told |= {"passages": 40, "corpus": "sha256:2", "steps": 4, "kept": 0, "looks": LOOKS, "labels": 0}
    (bees / outcome.REPORT).write_text(
        json.dumps(told | {"recipe": {"start": str(model), "objectives": {"sentences": {}}}})
    )
    judged.mkdir()
    documents = [{"_id": f"d{n}", "text": " ".join(f"{line} It is {n}." for line in LINES)} for n in range(25)]
    queries = [{"_id": f"q{n}", "text": f"which documents are searched by number {n}"} for n in range(25)]
    for name, records in (("corpus", documents), ("queries", queries)):
        (judged / f"{name}.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    rows = "".join(f"q{n}\td{n}\t1\n" for n in range(25))
    (judged / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    spans = "".join(f"q{n}\td{n}\t2\t8\n" for n in range(25))
    (judged / "spans.tsv").write_text(f"query-id\tcorpus-id\tstart\tend\n{spans}")
    pairs = "".join(f'{n % 5},"a stream, number {n}",a plate {n}\n' for n in range(25))
    (root / "pairs.csv").write_text(f"score,one,two\n{pairs}")
    return root


def run(*arguments: object, of: object = app) -> Result:
    texts = [str(each) for each in arguments]
    return CliRunner().invoke(of, texts, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})  # type: ignore[arg-type]


def said(done: Result) -> str:
    return " ".join(done.output.replace("│", " ").split())


def test_a_folder_that_an_older_version_trained_is_refused_by_what_it_lacks(world: Path, tmp_path: Path) -> None:
    report = json.loads((world / "bees" / outcome.REPORT).read_text())
    for lacking in ("corpus", "start_fingerprint"):
        del report[lacking]
    (tmp_path / outcome.REPORT).write_text(json.dumps(report))
    refused = run("publish", tmp_path, "--registry", tmp_path / "registry")
    assert refused.exit_code == 2
    assert "trained by an older version, which did not keep start_fingerprint, corpus: train again" in said(refused)


def test_a_release_is_judged_and_published_only_if_it_passed(world: Path) -> None:
    bees, registry = world / "bees", world / "registry"
    unjudged = run("publish", bees, "--registry", registry)
    assert (unjudged.exit_code, "has not been judged" in said(unjudged)) == (2, True)

    judged = ("--data", world / "judged", "--similarity", world / "pairs.csv")
    done = run("evaluate", bees, *judged, "--json", of=encoder)  # against its start, which it is
    assert done.exit_code == 1, done.output
    verdict = json.loads(done.stdout)
    assert verdict == json.loads((bees / outcome.GATE).read_text())
    assert not verdict["passed"]
    assert all(row["difference"] == 0 for row in verdict["rows"])
    measured = {row["measure"]: row["items"] for row in verdict["rows"]}
    assert measured["passage nDCG@10"] == measured["span accuracy"] == measured["similarity, Spearman"] == 25
    assert {name.partition(", ")[2] for name in measured} >= {"typos", "answer at the end"}
    assert verdict["fingerprints"]["candidate"] == load(named(str(bees / outcome.NOT_OFFERED))).fingerprint
    refused = run("publish", bees, "--registry", registry)
    assert refused.exit_code == 2
    assert "did not pass the evaluation gate: a gain is shown" in said(refused)
    assert not registry.exists()
    (world / "nothing.txt").touch()
    kept = (bees / outcome.GATE).read_bytes()
    unasked = run("evaluate", bees, world / "nothing.txt", of=encoder)
    assert (unasked.exit_code, "there is nothing to ask of these texts" in said(unasked)) == (2, True), unasked.output
    assert (bees / outcome.GATE).read_bytes() == kept

    outcome.judge(bees, verdict | {"passed": True})
    assert not (bees / outcome.NOT_OFFERED).exists()
    first = json.loads(run("publish", bees, "--registry", registry, "--json").stdout)
    (bees / "small.yaml").write_text((bees / outcome.RELEASE).read_text() + "truncate_dim: 8\n")
    (bees / "bridge.safetensors").write_bytes(b"of another use")
    (bees / "notes.txt").symlink_to(world / "pairs.csv")  # nor is what is not published looked at
    again = json.loads(run("publish", bees, "--registry", registry, "--json").stdout)
    assert (first["published"], again["published"]) == (True, False)
    listed = run("list", "--registry", registry)
    assert "bees-1 minilm@1 judged queries of" in said(listed)
    damaged = registry / "damaged-1" / "manifest.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    listed = run("list", "--registry", registry)
    assert listed.exit_code == 1
    assert all(told in said(listed) for told in ("bees-1 minilm@1", "the manifest of damaged-1"))
    assert list(json.loads(run("list", "--registry", registry, "--json").stdout)["refused"]) == ["damaged-1"]
    shown = run("show", "bees-1", "--registry", registry)
    assert all(each in said(shown) for each in ("corpus: sha256:2", first["seal"], "span accuracy"))
    fetched = run("fetch", "bees-1", "--registry", registry, "--out", world / "out", "--seal", first["seal"])
    assert f"ENCODER_MODEL={world / 'out' / 'release.yaml'}" in fetched.output, fetched.output
    assert load(read_release(world / "out" / "release.yaml")).fingerprint == verdict["fingerprints"]["candidate"]
    for arguments in (("bees-1", "--registry", registry), (world / "out",)):
        assert "files are as published" in said(run("verify", *arguments))

    told = yaml.safe_load((bees / outcome.RELEASE).read_text())
    (bees / outcome.RELEASE).write_text(yaml.safe_dump(told | {"model_name_or_path": str(bees / "model")}))
    elsewhere = run("publish", os.path.relpath(bees), "--registry", registry)  # a path that no other machine has
    assert (elsewhere.exit_code, "which is not in" in said(elsewhere)) == (2, True)
    changed = told | {"max_seq_length": 32}
    (bees / outcome.RELEASE).write_text(yaml.safe_dump(changed))
    other = run("publish", bees, "--registry", registry)
    assert "is not what was judged any more" in said(other)


def test_what_a_training_left_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / outcome.REPORT).write_text('{"release": "bee')
    for done in (run("publish", tmp_path, "--registry", "r"), run("evaluate", tmp_path, of=encoder)):
        assert done.exit_code == 2
        assert "training.json is damaged" in said(done)
    names = ["release", "model", "start", "start_fingerprint", "corpus", "passages", "steps", "kept", "looks", "recipe"]
    (tmp_path / outcome.REPORT).write_text(json.dumps(dict.fromkeys(names)))
    (tmp_path / outcome.GATE).write_text("")
    assert "gate.json is damaged" in said(run("publish", tmp_path, "--registry", "r"))


def test_a_training_that_has_not_ended_is_not_judged(world: Path, tmp_path: Path) -> None:
    going = tmp_path / "going"
    going.mkdir()
    for path in (world / "bees").iterdir():
        (going / path.name).symlink_to(path)
    (going / outcome.GATE).unlink(missing_ok=True)
    (going / spool.FILE).write_text("")
    for against in ((), ("--against", "minilm")):
        done = run("evaluate", going, *against, "--data", world / "judged", of=encoder)
        assert done.exit_code == 2
        assert "has not ended: the same `spanstream train` goes on with it" in said(done)
    assert not (going / outcome.GATE).exists()


def test_a_judgement_that_could_not_be_written_is_not_begun(tmp_path: Path) -> None:
    done = run("evaluate", "a", "--against", "b", "--out", tmp_path / "none" / "j.json", of=encoder)
    assert done.exit_code == 2
    assert "is no file in a folder that exists" in said(done)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--registry", "nowhere"], "there is no registry at nowhere"),
        (["show", "wasps", "--registry", "."], "has no release 'wasps'"),
        (["publish", ".", "--registry", "r"], "is no release's folder"),
        (["verify", "wasps"], "wasps is no folder"),
        (["verify", "."], "is no release that was fetched"),
        (["fetch", "../wasps", "--registry", "."], "is no name of a release"),
        (["list", "--registry", "magic://x"], "the registry magic://x"),
    ],
)
def test_wrong_use_says_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in said(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["minilm"], "name the release that it is to replace"),
        (["minilm", "--against", "minilm", "--data", "."], "has no corpus.jsonl"),
        (["minilm", "--against", "minilm", "--similarity", "bad.csv"], "bad.csv:2 has 1 columns, separated by commas"),
    ],
)
def test_wrong_use_of_evaluate_says_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("score,one,two\n1\n")
    done = run("evaluate", *arguments, of=encoder)
    assert done.exit_code == 2
    assert message in said(done)
