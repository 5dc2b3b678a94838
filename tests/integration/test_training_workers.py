"""`spanstream train --workers 2` on Ray, with a tiny model: the same command, the same files, and a refusal that is passed on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from click.testing import Result
from typer.testing import CliRunner

from spanstream.representations.training import checkpoint
from spanstream.representations.training.student import student
from spanstream.standalone.training import outcome, spool
from spanstream.standalone.training.command import train
from tests.unit.representations.tiny import LINES, build

pytest.importorskip("ray.train", reason="Ray Train is not installed")


def run(*arguments: object) -> Result:
    app = typer.Typer(add_completion=False)
    app.command()(train)
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "80"})


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_two_workers_train_as_one_does(tmp_path: Path) -> None:
    model = build(tmp_path / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    recipe, texts = tmp_path / "recipe.yaml", tmp_path / "texts.jsonl"
    told = f"start: {model}\nsteps: 4\nbatch: 8\nevaluate_every: 2\nlearning_rate: 1.0e-3\n"
    recipe.write_text(told + "objectives: {sentences: {weight: 1, queries: 8}}\n")
    records = ({"_id": str(n), "text": " ".join(f"{line} It is number {n}." for line in LINES)} for n in range(40))
    texts.write_text("\n".join(json.dumps(each) for each in records))

    alone, two = tmp_path / "alone", tmp_path / "two"
    for out, more in ((alone, ()), (two, ("--workers", 2))):
        done = run(texts, "--recipe", recipe, "--out", out, "--device", "cpu", "--json", *more)
        assert done.exit_code == 0, done.output
    one, other = (json.loads((out / outcome.REPORT).read_text()) for out in (alone, two))
    assert [look["total"] for look in other["looks"]] == pytest.approx(
        [look["total"] for look in one["looks"]], abs=0.02
    )
    assert one["passages"] == other["passages"]
    for each in (one, other):  # which of two looks that are almost equal is the best may differ: sums are rounded apart
        assert each["kept"] == min(each["looks"], key=lambda look: look["total"])["step"]
    weights = [
        torch.cat([each.flatten() for each in student(str(out / outcome.MODEL), "cpu").network.parameters()])
        for out in (alone, two)
    ]
    torch.testing.assert_close(*weights, atol=5e-3, rtol=0)
    assert {path.name for path in two.iterdir()} == {path.name for path in alone.iterdir()}

    torn = tmp_path / "torn"
    torn.mkdir()
    lines = [{"text": f"It is {n}.", "title": "", "document": "", "queries": [], "negatives": {}} for n in range(40)]
    (torn / spool.FILE).write_text("".join(json.dumps(each) + "\n" for each in lines))
    (torn / checkpoint.FILE).write_bytes(b"torn")
    refused = run(texts, "--recipe", recipe, "--out", torn, "--device", "cpu", "--workers", 2)
    assert refused.exit_code == 2, refused.output
    assert "is damaged; remove it" in " ".join(refused.output.replace("│", " ").split())
