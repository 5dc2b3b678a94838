"""`spanstream eval`, as its users run it: a Spanstream of its own is started, measured and gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.product import command

SUBJECTS = {
    "bees": "Bees tell each other the way to flowers by a dance. The dance points away from the sun.",
    "tides": "The moon pulls the sea. Tides rise twice a day.",
    "bread": "Bread rises because yeast makes gas. The oven sets it.",
}
QUESTIONS = {
    "bees": "how do insects find blossoms",
    "tides": "why does the sea level change",
    "bread": "what makes dough grow",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps({'_id': i, 'text': t})}\n" for i, t in SUBJECTS.items()))
    (folder / "queries.jsonl").write_text(
        "".join(f"{json.dumps({'_id': i, 'text': t})}\n" for i, t in QUESTIONS.items())
    )
    (folder / "qrels.tsv").write_text("q\td\tscore\n" + "".join(f"{name}\t{name}\t1\n" for name in SUBJECTS))
    spans = [(name, name, 0, text.index(".")) for name, text in SUBJECTS.items()]
    (folder / "spans.tsv").write_text("q\td\tstart\tend\n" + "".join("\t".join(map(str, row)) + "\n" for row in spans))
    return folder


def test_sets_are_measured_and_runs_compared(dataset: Path, tmp_path: Path) -> None:
    first, picture = tmp_path / "first.json", tmp_path / "picture.png"
    files = ["--out", str(first), "--plot", str(picture)]
    done = command(tmp_path / "none", "eval", str(dataset), "--mode", "hybrid", "--mode", "lexical", *files)
    assert done.returncode == 0, done.stderr.decode()
    table = done.stdout.decode()
    assert "nDCG@10" in table
    assert "small: hybrid less lexical" in table
    assert picture.read_bytes().startswith(b"\x89PNG")
    written = json.loads(first.read_text())
    assert written["sets"]["small"]["means"]["hybrid"]["nDCG@10"] == 100
    assert written["queries"]["small"]["tides"]["hybrid"]["MRR@10"] == 100

    again = command(
        tmp_path / "none", "eval", str(dataset), "--mode", "hybrid", "--against", str(first), "--json", timeout=180
    )
    assert again.returncode == 0, again.stderr.decode()
    compared = json.loads(again.stdout)["sets"]["small"]["less earlier"]["hybrid"]
    assert (compared["difference"], compared["p"], compared["queries"]) == (0, 1, 3)
    assert not (tmp_path / "none").exists()


def test_weights_that_do_not_help_are_not_written(dataset: Path, tmp_path: Path) -> None:
    weights = tmp_path / "blend.json"
    done = command(tmp_path / "none", "tune", str(dataset), "--out", str(weights), "--json", timeout=180)
    assert done.returncode == 1, done.stderr.decode()
    told = json.loads(done.stdout)
    assert set(told["weights"]) == {"dense", "spans", "lexical", "feedback", "neighbours"}
    assert (told["written"], told["gain"]["nDCG@10"], told["gain"]["queries"]) == (False, 0, 3)
    assert not weights.exists()
