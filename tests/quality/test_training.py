"""The short form of the measurement of training: that it measures what it says. Its long form is `python -m tests.quality.training`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanstream.representations.bootstrap import Interval
from spanstream.representations.training.recipe import Recipe
from spanstream.standalone.gate.exam import Exam
from spanstream.standalone.gate.rules import NDCG, SPANS
from tests.quality import training
from tests.unit.representations.tiny import LINES, build


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two small sets, one with answers."""
    for name in ("medline", "xquad"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        texts = [" ".join(f"{line} It is {name} {n}." for line in LINES) for n in range(40)]
        corpus = ({"_id": str(n), "title": f"Part {n}", "text": text} for n, text in enumerate(texts))
        (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
        queries = ({"_id": f"q{n}", "text": f"which is {name} {n}"} for n in range(25))
        (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
        (folder / "qrels.tsv").write_text("query\tdocument\tgrade\n" + "".join(f"q{n}\t{n}\t1\n" for n in range(25)))
    answers = "".join(f"q{n}\t{n}\t0\t{len(LINES[0])}\n" for n in range(25))
    (folder / "spans.tsv").write_text(f"query\tdocument\tstart\tend\n{answers}")
    return tmp_path / "data"


def test_what_is_measured_is_not_measured_again(data: Path, tmp_path: Path) -> None:
    model = build(tmp_path / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    recipe = Recipe(start=str(model), steps=2)
    only, out = ("medline", "xquad"), tmp_path / "out.json"
    asked = training.exams(data, only)
    assert list(asked) == ["medline", "xquad", "xquad, without titles"]

    going = training.work(training.Book(out, recipe), asked, only, 2, recipe)
    assert "medline/0 on medline" in next(line for line in going if line.startswith("medline/0 on"))
    del going  # stopped, with one look at a trained model written

    book = training.Book(out, recipe)
    lines = list(training.work(book, asked, only, 2, recipe))
    assert lines[0].startswith("medline/0 on xquad")
    assert sum("training" in line for line in lines) == 3
    assert not list(training.work(training.Book(out, recipe), asked, only, 2, recipe))

    rows = {(row.read, row.asked, row.measure): row for row in training.rows(book, asked, only, 2)}
    assert len(rows) == 2 * 5
    row = rows["xquad", "xquad", SPANS]
    assert row.trained - row.start == pytest.approx(row.difference.value)
    assert sum(row.differences) / 2 == pytest.approx(row.difference.value)
    start, after, more = training.macro(book, [("medline", "medline"), ("xquad", "xquad")], 2)
    here = [rows[name, name, NDCG] for name in only]
    assert start == pytest.approx(sum(row.start for row in here) / 2)
    assert after == pytest.approx(sum(row.trained for row in here) / 2)
    assert more.value == pytest.approx(100 * (after / start - 1))
    assert "| all | sets not read |" in training.table(book, asked, only, 2)
    with pytest.raises(SystemExit, match="of another recipe"):
        training.Book(out, replace(recipe, steps=3))


def test_a_set_that_is_asked_of_several_trainings_has_its_queries_once(tmp_path: Path) -> None:
    """Trainings that do alike say no more than one of them; of those that do not, the mean counts, query by query."""
    book, chance = training.Book(tmp_path / "out.json", Recipe()), np.random.default_rng(1)
    before = {one: chance.uniform(20, 60, 25) for one in ("cisi", "medline")}
    gains = {one: chance.normal(1, 5, 25) for one in before}
    for run, times in ((training.START, 0), ("xquad/0", 1), ("cranfield/0", 1), ("other/0", -1)):
        for one, scores in before.items():
            book.run(run)["scores"][one] = {NDCG: (scores + times * gains[one]).tolist()}

    def macro(*read: str) -> tuple[float, float, Interval]:
        return training.macro(book, [(each, one) for each in read for one in before], 1)

    def flat(found: tuple[float, float, Interval]) -> tuple[float, ...]:
        return *found[:2], *found[2]

    once = macro("xquad")
    assert once[2].high - once[2].low > 1
    assert flat(macro("xquad", "cranfield")) == pytest.approx(flat(once))
    assert macro("xquad", "other")[2] == pytest.approx((0, 0, 0))


def test_what_trained_weights_that_are_gone_were_not_asked_is_said(tmp_path: Path) -> None:
    book, asked = training.Book(tmp_path / "out.json", Recipe()), {"medline": Exam([], []), "new": Exam([], [])}
    book.run(training.START)["scores"] = {one: {NDCG: [50.0]} for one in asked}
    book.run("medline/0").update(seconds=1.0, scores={"medline": {NDCG: [50.0]}})
    with pytest.raises(SystemExit, match="medline/0 has not been asked new, and its weights are gone"):
        list(training.work(book, asked, ["medline"], 1, Recipe()))
    del asked["new"]
    assert not list(training.work(book, asked, ["medline"], 1, Recipe()))
