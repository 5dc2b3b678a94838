from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from spanstream.representations.transforms import Chain, parse_stages
from spanstream.standalone.encoder.command import app as encoder
from spanstream.standalone.encoder.fit import entry
from spanstream.standalone.encoder.texts import Piece, Reader, draw

WORDS = [
    "wing",
    "tide",
    "bread",
    "glass",
    "honey",
    "river",
    "stone",
    "copper",
    "lantern",
    "orchard",
    "violin",
    "harbour",
    "winter",
    "signal",
    "meadow",
]


def lines(count: int) -> bytes:
    chance = random.Random(0)
    records = ({"_id": str(i), "title": "Notes", "text": " ".join(chance.sample(WORDS, 5))} for i in range(count))
    return b"\n".join(json.dumps(record).encode() for record in records)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    app = typer.Typer(add_completion=False)
    app.add_typer(encoder, name="encoder")
    return CliRunner().invoke(app, ["encoder", "fit", *arguments], input=stdin, env={"COLUMNS": "80"})


def test_what_is_fitted_on_files_can_be_loaded_and_is_the_same_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "notes.jsonl").write_bytes(lines(70))
    (folder / "page.html").write_text("<html><body><p>The caretaker hides the key.</p></body></html>")
    (folder / "broken.jsonl").write_bytes(b'{"_id": ')
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(str(folder), "--stages", "center, pca:16, truncate:8", "--sample", "66", "--out", str(one), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["sample"], report["passages"], report["unread"]) == (66, 71, 1)
    assert report["measures"]["dimensions"] == {"before": 384, "after": 8}
    assert report["measures"]["mean_cosine_of_pairs"]["before"] > 0.2
    assert abs(report["measures"]["mean_cosine_of_pairs"]["after"]) < 0.1

    chain = Chain.load(one, specs=parse_stages(report["transforms"]), dimension=384, fingerprint=report["fingerprint"])
    assert chain.version == report["version"]
    assert (chain.release, chain.rows) == (f"all-MiniLM-L6-v2@{chain.fingerprint[:8]}", 66)

    shown = run(str(folder), "--stages", "center,pca:16,truncate:8", "--sample", "66", "--out", str(two))
    assert two.read_bytes() == one.read_bytes()
    assert f'- {{"type": "center", "fitted": "sha256:{chain.version}"}}' in shown.stdout
    assert "effective rank" in shown.stdout
    assert "broken.jsonl:1: not valid JSON" in shown.stderr


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ("center,pca:600", "at most 384"),
        ("whiten", "at least 768 vectors"),
        ("centre", "there is no type 'centre'"),
        ("pca", "needs the key dimension"),
        ("whiten:0.1:pca", "is no NAME=VALUE"),
        ("center:3", "is no NAME=VALUE"),
    ],
)
def test_what_cannot_be_fitted_is_said_and_nothing_written(tmp_path: Path, stages: str, said: str) -> None:
    out = tmp_path / "chain"
    done = run("-", "--stages", stages, "--out", str(out), stdin=lines(64))
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not out.exists()


def test_wrong_paths_are_usage_errors(tmp_path: Path) -> None:
    there = tmp_path / "a.txt"
    there.write_text("A wing.")
    assert run(str(tmp_path / "none"), "--stages", "center", "--out", str(tmp_path / "chain")).exit_code == 2
    assert run(str(there), "--stages", "center", "--out", str(tmp_path / "none" / "chain")).exit_code == 2
    assert run(str(there), "--stages", "center", "--out", str(tmp_path)).exit_code == 2
    few = run(str(there), "--stages", "truncate:8", "--out", str(tmp_path / "chain"))
    assert (few.exit_code, "1 different passages in all of it" in few.stderr) == (2, True)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # as /dev/null is none
    done = run("-", "--stages", "truncate:8", "--out", str(tmp_path / "pipe"), stdin=lines(64))
    assert (done.exit_code, (tmp_path / "pipe").is_fifo()) == (2, True)


def test_a_text_many_times_is_one(tmp_path: Path) -> None:
    record = json.dumps({"_id": "1", "text": "The same notice."}).encode()
    done = run("-", "--stages", "center", "--out", str(tmp_path / "chain"), stdin=b"\n".join([record] * 80))
    assert (done.exit_code, "1 different passages" in done.stderr) == (2, True)


def test_stages_are_typed_with_their_first_parameter_unnamed() -> None:
    assert entry("center") == {"type": "center"}
    assert entry("pca:192") == {"type": "pca", "dimension": 192}
    assert entry("whiten:0.1:method=pca") == {"type": "whiten", "shrinkage": 0.1, "method": "pca"}
    assert entry("clip:deviations=2.5") == {"type": "clip", "deviations": 2.5}


def test_documents_are_cut_into_passages_as_the_ingestor_does(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("The wing stalls at a large angle. " * 100)
    found = list(Reader([str(tmp_path)]).passages())
    assert len(found) == 3
    assert all(len(passage.text) <= 1200 and passage.text.startswith("The wing") for passage in found)


def test_every_passage_has_the_same_chance() -> None:
    passages = [Piece(str(number), "") for number in range(1000)]
    drawn, total = draw(passages, 300)
    numbers = [int(passage.text) for passage in drawn]
    assert (len(set(numbers)), total) == (300, 1000)
    assert numbers == sorted(numbers)
    assert 450 < np.mean(numbers) < 550
    assert draw(passages, 300) == (drawn, total)
    assert draw(passages[:7], 300) == (passages[:7], 7)


def test_help_is_whole_in_eighty_columns() -> None:
    done = run("--help")
    assert done.exit_code == 0
    assert "…" not in done.output
