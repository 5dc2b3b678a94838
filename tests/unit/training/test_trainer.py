from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spanstream.encoder.encoder import Text
from spanstream.representations.model import load
from spanstream.representations.training import checkpoint
from spanstream.representations.training.errors import CheckpointInvalid, CorpusUnsuitable, TrainingFailed
from spanstream.representations.training.objective import Document
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.stream import Split, split
from spanstream.representations.training.student import Student, Vectors, student
from spanstream.representations.training.trainer import Trained, train

RECIPE = Recipe(
    steps=12,
    batch=8,
    learning_rate=1e-3,
    warmup_steps=2,
    dropout=0.1,
    evaluate_every=4,
    objectives={"sentences": {"weight": 1.0}, "dropout": {"weight": 0.1}},
)


class Killed(Exception):
    pass


def weights(found: Student) -> torch.Tensor:
    return torch.cat([each.flatten() for each in found.network.parameters()])


def run(
    model: Path, documents: list[Document], out: Path, recipe: Recipe = RECIPE, *, die_after: int | None = None
) -> Trained:
    def tell(step: int, loss: float) -> None:
        if step == die_after:
            raise Killed

    out.mkdir(exist_ok=True)
    # In float32: a model as small as this one learns nothing in bfloat16, and which is faster the machine decides.
    learner = replace(student(str(model)), mixed=False)
    return train(recipe, learner, lambda: documents, out, progress=tell)


def test_it_learns_what_it_has_not_seen(folder: Path, documents: list[Document], tmp_path: Path) -> None:
    trained = run(folder, documents, tmp_path, replace(RECIPE, steps=40, evaluate_every=10, patience=9))
    assert trained.looks[0].step == 0
    assert min(look.losses["sentences"] for look in trained.looks) < trained.looks[0].losses["sentences"] - 0.05
    assert trained.best > 0


@pytest.mark.parametrize("step", [3, 4, 7, 11])
def test_killed_at_any_step_it_comes_to_the_same(
    folder: Path, documents: list[Document], tmp_path: Path, step: int
) -> None:
    whole = run(folder, documents, tmp_path / "whole")
    with pytest.raises(Killed):
        run(folder, documents, tmp_path / "killed", die_after=step)
    again = run(folder, documents, tmp_path / "killed")
    assert [look.total for look in again.looks] == [look.total for look in whole.looks]
    assert torch.equal(weights(again.student), weights(whole.student))


def test_what_learns_beside_the_model_goes_on_too_and_is_gone_at_the_end(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, objectives={"denoising": {}, "layers": {"layers": [1, 2]}}, rank=2)
    whole = run(folder, documents, tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        run(folder, documents, tmp_path / "killed", recipe, die_after=6)
    again = run(folder, documents, tmp_path / "killed", recipe)
    assert [look.total for look in again.looks] == [look.total for look in whole.looks]
    assert torch.equal(weights(again.student), weights(whole.student))
    assert whole.looks[-1].losses["denoising"] < whole.looks[0].losses["denoising"]
    assert list(whole.student.network.state_dict()) == list(student(str(folder)).network.state_dict())


def test_it_goes_on_in_the_numbers_it_began_with(folder: Path, documents: list[Document], tmp_path: Path) -> None:
    def begun(out: Path, *, mixed: bool, die_after: int | None = None) -> Trained:
        def tell(step: int, loss: float) -> None:
            if step == die_after:
                raise Killed

        out.mkdir(exist_ok=True)
        return train(RECIPE, replace(student(str(folder)), mixed=mixed), lambda: documents, out, progress=tell)

    whole = begun(tmp_path / "whole", mixed=True)
    with pytest.raises(Killed):
        begun(tmp_path / "killed", mixed=True, die_after=7)
    again = begun(tmp_path / "killed", mixed=False)
    assert [look.total for look in again.looks] == [look.total for look in whole.looks]
    other = begun(tmp_path / "other", mixed=False)
    assert [look.total for look in other.looks] != [look.total for look in whole.looks]


def test_another_recipe_or_a_damaged_checkpoint_is_refused(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    run(folder, documents, tmp_path)
    with pytest.raises(CheckpointInvalid, match="another recipe"):
        run(folder, documents, tmp_path, replace(RECIPE, seed=1))
    (tmp_path / checkpoint.FILE).write_bytes(b"torn")
    with pytest.raises(CheckpointInvalid, match="damaged"):
        run(folder, documents, tmp_path)


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_checkpoint(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    hasty = replace(RECIPE, learning_rate=1e30, clip=1e30, warmup_steps=0, steps=30, evaluate_every=1)
    with pytest.raises(TrainingFailed, match="learning_rate smaller"):
        run(folder, documents, tmp_path, hasty)
    assert checkpoint.restore(tmp_path, hasty) is None  # what is held out was looked at before anything was kept


def test_an_objective_that_nothing_held_out_tests_is_refused(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    asked = [each if split(each) is Split.TRAIN else replace(each, queries=()) for each in documents]
    with pytest.raises(CorpusUnsuitable, match="none has anything for pairs"):
        run(folder, asked, tmp_path, replace(RECIPE, objectives={"pairs": {}, "keep": {}}))
    learnt_from = [each for each in documents if split(each) is Split.TRAIN]
    with pytest.raises(CorpusUnsuitable, match="none has anything for"):
        run(folder, learnt_from, tmp_path, RECIPE)


def test_it_stops_where_nothing_gets_better(folder: Path, documents: list[Document], tmp_path: Path) -> None:
    still = replace(RECIPE, learning_rate=1e-12, steps=100, evaluate_every=1, patience=3, objectives={"keep": {}})
    assert run(folder, documents, tmp_path, still).steps < 100


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, RECIPE, {"steps": 1})
    with no_room(16), pytest.raises(TrainingFailed, match="cannot be written"):
        checkpoint.save(tmp_path, RECIPE, {"steps": 2})
    assert checkpoint.restore(tmp_path, RECIPE) == {"steps": 1}


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_ends_it_and_it_goes_on_when_there_is_room(
    folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    whole = run(folder, documents, tmp_path / "whole")
    with pytest.raises(Killed):
        run(folder, documents, tmp_path / "full", die_after=5)
    with no_room(10_000), pytest.raises(TrainingFailed, match="checkpoint cannot be written"):
        run(folder, documents, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == [checkpoint.FILE]
    again = run(folder, documents, tmp_path / "full")
    assert torch.equal(weights(again.student), weights(whole.student))
    with no_room(10_000), pytest.raises((TrainingFailed, OSError), match=r"model cannot be written|too large"):
        again.student.save(tmp_path / "model")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
@pytest.mark.parametrize("look", [True, False])
def test_memory_that_does_not_suffice_is_said(
    error: Exception, look: bool, folder: Path, documents: list[Document], tmp_path: Path
) -> None:
    class Small(Student):
        def encode(self, texts: Sequence[Text], layers: Sequence[int] = ()) -> list[Vectors]:
            if look or self.network.training:
                raise error
            return super().encode(texts, layers)

    whole = student(str(folder))
    small = Small(whole.folder, whole.model, whole.network)
    with pytest.raises(TrainingFailed, match=r"a step of \d passages does not fit in memory: make batch smaller"):
        train(RECIPE, small, lambda: documents, tmp_path)


def test_what_was_learnt_is_a_model_that_loads(folder: Path, documents: list[Document], tmp_path: Path) -> None:
    trained = run(folder, documents, tmp_path / "run", replace(RECIPE, steps=40, evaluate_every=10))
    trained.student.save(tmp_path / "model")
    start, learnt = load(str(folder)), load(str(tmp_path / "model"))
    assert learnt.fingerprint != start.fingerprint
    assert (learnt.pooling, learnt.max_tokens, learnt.dimension) == (start.pooling, start.max_tokens, start.dimension)
    found = student(str(tmp_path / "model"))
    torch.testing.assert_close(weights(found), weights(trained.student))


def test_what_a_start_lacks_is_made_up_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(folder, start)
    weights = load_file(start / "model.safetensors")
    save_file(
        {name: weight for name, weight in weights.items() if not name.startswith("pooler.")},
        start / "model.safetensors",
        {"format": "pt"},
    )
    saved = []
    for name in ("one", "other"):
        torch.manual_seed(len(name))
        student(str(start)).save(tmp_path / name)
        saved.append((tmp_path / name / "model.safetensors").read_bytes())
    assert saved[0] == saved[1]
    assert b"pooler." in saved[0]
