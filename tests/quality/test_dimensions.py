"""The short form of the measurement of dimensions: that it measures what it says. Its long form is `python -m tests.quality.dimensions`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from spanstream.representations.training.recipe import Recipe
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate.exam import Exam, Question, paper
from spanstream.standalone.gate.measuring import measure
from spanstream.standalone.gate.rules import NDCG
from spanstream.standalone.training import outcome
from tests.quality import dimensions
from tests.quality.training import START, Book, trained
from tests.unit.representations.tiny import WIDTH, build
from tests.unit.training.conftest import document

FEW = 6


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A tiny model, and a projection that learns something behind it."""
    model = build(tmp_path_factory.mktemp("start") / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)
    return Recipe(start=str(model), steps=0, projection={"learning_rate": 3e-3, "decay": 3})


def exam(documents: int) -> Exam:
    several = [document(number) for number in range(documents)]
    asked = [Question(one.text[:100], {number: 1.0}) for number, one in enumerate(several)]
    return Exam([paper(one.text, one.title) for one in several], asked[:25], "documents made here")


def cut(folder: Path, kept: int | None) -> Path:
    """A copy of the release, as people make it."""
    told = yaml.safe_load(outcome.release(folder).read_text()) | {"dtype": "float32"}
    path = folder / f"first-{kept}.yaml"
    path.write_text(yaml.safe_dump(told | ({"truncate_dim": kept} if kept else {})))
    return path


def test_it_measures_what_a_release_cut_so_finds_and_does_not_measure_it_again(recipe: Recipe, tmp_path: Path) -> None:
    asked, out = {"medline": exam(120)}, tmp_path / "out.json"
    going = dimensions.work(Book(out, recipe), asked, ["medline"], 1, FEW, recipe)
    assert [next(going), next(going).partition(":")[0]] == ["medline: reading", "start on medline"]
    del going  # stopped, with the look at the start written

    book = Book(out, recipe)
    lines = list(dimensions.work(book, asked, ["medline"], 1, FEW, recipe))
    assert [line.partition(":")[0] for line in lines] == ["medline", "medline/0", "medline/0 on medline"]
    assert book.run("medline/0")["projection"]["kept"] > 0
    assert not list(dimensions.work(Book(out, recipe), asked, ["medline"], 1, FEW, recipe))
    assert not list(book.work.iterdir())

    trained(asked["medline"], recipe, tmp_path / "again")
    for form, kept in ((dimensions.FULL, None), (dimensions.FIRST, FEW)):
        with (
            encoding.progress(quiet=True) as bar,
            encoding.opened(str(cut(tmp_path / "again", kept)), bar) as encoder,
        ):
            assert encoder.info().dimension == (kept or WIDTH)
            product = measure(encoder, asked["medline"], bar, "").scores[NDCG]
        found = book.scores("medline/0", "medline", dimensions.label(form, FEW))
        assert found == pytest.approx(product, abs=1e-3)
    four = [book.scores(name, "medline", form) for name in (START, "medline/0") for form in ("all", f"first:{FEW}")]
    assert len({tuple(scores) for scores in four}) == 4

    list(dimensions.work(book, asked, ["medline"], 1, 2 * FEW, recipe))
    forms = {"all", f"first:{FEW}", f"first:{2 * FEW}"}
    assert book.run("medline/0")["scores"]["medline"].keys() == forms
    assert book.run(START)["scores"]["medline"].keys() == forms | {f"pca:{FEW}", f"pca:{2 * FEW}"}


def test_all_dimensions_of_pca_on_few_passages_and_a_matrix_that_was_not_kept(recipe: Recipe, tmp_path: Path) -> None:
    """The stage wants 64 rows: 30 passages have them with their sentences."""
    found = dimensions.read(exam(30), recipe.start)
    forms = dimensions.plain(found.index, FEW)
    assert forms[dimensions.PCA].rows == len(found.index.passages) + len(found.index.sentences)
    shutil.rmtree(tmp_path)
    none = dimensions.learnt(tmp_path, WIDTH, FEW)
    for form in (dimensions.FULL, dimensions.FIRST):
        assert np.array_equal(none[form].apply(found.queries), forms[form].apply(found.queries))


def test_its_file_is_none_of_trainings_of_the_encoder(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    Book(out, dimensions.RECIPE).write()
    Book(out, replace(Recipe(), steps=0))
    with pytest.raises(SystemExit, match="of another recipe"):
        Book(out, Recipe())


def test_shares_are_of_what_they_say(tmp_path: Path) -> None:
    """Of two sets, one without any spread between queries; two seeds, of which the mean counts."""
    book, few = Book(tmp_path / "out.json", dimensions.RECIPE), f"first:{FEW}"
    for one, more in (("cisi", 1.0), ("medline", 2.0)):
        flat = {"all": 40.0 * more, few: 30.0 * more, f"pca:{FEW}": 36.0 * more}
        book.run(START)["scores"][one] = {form: [value] * 25 for form, value in flat.items()}
        for seed in (0, 1):
            points = {"all": [50.0 * more + seed - 0.5] * 25, few: [48.0 * more + 2 * seed - 1] * 25}
            book.run(f"{one}/{seed}")["scores"][one] = points
    cisi, medline, macro = dimensions.rows(book, ["cisi", "medline"], 2, FEW)
    assert (cisi.start, medline.trained, macro.start, macro.trained) == pytest.approx((40, 100, 60, 75))
    for row in (cisi, medline, macro):
        assert row.truncated == pytest.approx((75, 75, 75))
        assert row.pca == pytest.approx((90, 90, 90))
        assert row.kept == pytest.approx((96, 96, 96))
        assert row.overall == pytest.approx((120, 120, 120))
        assert row.beside == pytest.approx((400 / 3, 400 / 3, 400 / 3))
    lines = dimensions.table([cisi, macro], FEW).splitlines()
    assert lines[2].startswith("| cisi | 40.00 | 50.00 | 75.0 [75.0, 75.0] | 90.0")
    assert {line.count("|") for line in lines} == {9}
