"""Training, top to bottom: draw, encode, weigh the losses, step; now and then look at what is held out and keep a checkpoint.

Nothing depends on how often it was stopped: what a step draws by chance follows from the seed and its number alone.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.training import adapters, checkpoint
from spanstream.representations.training.errors import TrainingFailed
from spanstream.representations.training.objective import Document, Sight
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.stream import Source, batches, held_out, refuse_unsuitable
from spanstream.representations.training.student import Student, Vectors


@dataclass(frozen=True, slots=True)
class Look:
    """At what is held out after `step` steps: the loss of each objective, and their weighted sum."""

    step: int
    losses: dict[str, float]
    total: float


@dataclass(slots=True)
class Trained:
    """`student` as it was at its best; `looks` from before the first step on; `steps` that were taken."""

    student: Student
    looks: list[Look] = field(default_factory=list)
    steps: int = 0
    best: int = 0


Progress = Callable[[int, float], None]


def train(
    recipe: Recipe, student: Student, source: Source, folder: Path, *, progress: Progress = lambda step, loss: None
) -> Trained:
    """Learn from `source`, which gives the same passages each time it is called; go on from a checkpoint in `folder`.

    `progress(step, loss)` is called after each step. Raises RecipeInvalid, CorpusUnsuitable, CheckpointInvalid and
    TrainingFailed.
    """
    refuse_unsuitable(source)
    return _Run(recipe, student, held_out(source), folder).through(source, progress)


class _Run:
    def __init__(self, recipe: Recipe, student: Student, apart: list[Document], folder: Path) -> None:
        self._recipe = recipe
        self._mixed = recipe.mixed()
        self._student = student
        self._start = replace(student, network=copy.deepcopy(student.network).eval())
        for module in student.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe.dropout
        if recipe.rank:
            torch.manual_seed(Random(f"{recipe.seed}/adapters").getrandbits(63))
            adapters.adapt(student.network, recipe.rank)
        self._apart = apart
        self._folder = folder
        learning = [each for each in student.network.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self._best: dict[str, Any] = {}
        self._trained = Trained(student)

    def through(self, source: Source, progress: Progress) -> Trained:
        self._restore()
        recipe, trained = self._recipe, self._trained
        if not trained.looks:
            self._look()
        following = islice(batches(source, recipe.batch, recipe.seed), trained.steps, None)
        while trained.steps < recipe.steps and self._hopeful():
            loss = self._step(next(following))
            trained.steps += 1
            progress(trained.steps, loss)
            if trained.steps % recipe.evaluate_every == 0 or trained.steps == recipe.steps:
                self._look()
                self._keep()
        self._student.network.load_state_dict(self._best)
        adapters.merge(self._student.network)
        self._student.network.eval()
        return trained

    def _step(self, documents: Sequence[Document]) -> float:
        number = self._trained.steps
        torch.manual_seed(Random(f"{self._recipe.seed}/dropout/{number}").getrandbits(63))
        self._student.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate(number)
        self._optimizer.zero_grad()
        try:
            total, _ = self._losses(documents, Random(f"{self._recipe.seed}/{number}"))
            if not math.isfinite(float(total.detach())):
                raise TrainingFailed(f"the loss of step {number + 1} is no number: make learning_rate smaller")
            if not total.requires_grad:
                raise TrainingFailed("no objective of the recipe finds anything to learn from in these passages")
            total.backward()  # type: ignore[no-untyped-call]
        except (MemoryError, RuntimeError) as error:
            if not _of_memory(error):
                raise
            raise TrainingFailed(f"a step of {len(documents)} passages does not fit: make batch smaller") from error
        torch.nn.utils.clip_grad_norm_(self._student.network.parameters(), self._recipe.clip)
        self._optimizer.step()
        return float(total.detach())

    def _losses(self, documents: Sequence[Document], chance: Random) -> tuple[torch.Tensor, dict[str, float]]:
        """The weighted sum, and each."""
        draws = {name: objective.draw(documents, chance) for name, (_, objective) in self._mixed.items()}
        now = _once(self._student, [draw.texts for draw in draws.values()])
        start = cache(partial(self._before, [[*draw.texts, *draw.reference] for draw in draws.values()]))
        total, each = torch.zeros(()), dict[str, float]()
        for number, (name, draw) in enumerate(draws.items()):
            if draw.texts:
                loss = draw.loss(Sight(now[number], lambda number=number: start()[number]))  # type: ignore[misc]
                total = total + self._mixed[name][0] * loss
                each[name] = float(loss.detach())
        return total, each

    def _before(self, drawn: Sequence[Sequence[Text]]) -> list[list[Vectors]]:
        with torch.no_grad():
            return _once(self._start, drawn)

    def _look(self) -> None:
        """At what is held out; what was best so far is kept."""
        self._student.network.eval()
        size, sums, total = self._recipe.batch, dict[str, float](), 0.0
        parts = [self._apart[at : at + size] for at in range(0, len(self._apart), size)]
        with torch.no_grad():
            for part in parts:
                loss, each = self._losses(part, Random(self._recipe.seed))
                total += float(loss.detach()) / len(parts)
                for name, value in each.items():
                    sums[name] = sums.get(name, 0.0) + value / len(parts)
        trained = self._trained
        better = all(total < look.total for look in trained.looks)
        trained.looks.append(Look(trained.steps, sums, total))
        if better:
            trained.best = trained.steps
            self._best = copy.deepcopy(self._student.network.state_dict())

    def _hopeful(self) -> bool:
        since = sum(look.step > self._trained.best for look in self._trained.looks)
        return since < self._recipe.patience

    def _keep(self) -> None:
        trained = self._trained
        looks = [(look.step, look.losses, look.total) for look in trained.looks]
        state = {
            "mixed": self._student.mixed,
            "steps": trained.steps,
            "best_step": trained.best,
            "looks": looks,
            "best": self._best,
        }
        now = {"network": self._student.network.state_dict(), "optimizer": self._optimizer.state_dict()}
        checkpoint.save(self._folder, self._recipe, state | now)

    def _restore(self) -> None:
        state = checkpoint.restore(self._folder, self._recipe)
        if state is None:
            return
        # As it began: the same result, whatever is faster by now.
        self._start = replace(self._start, mixed=state["mixed"])
        self._student = self._trained.student = replace(self._student, mixed=state["mixed"])
        self._student.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        looks = [Look(step, losses, total) for step, losses, total in state["looks"]]
        self._trained.steps, self._trained.best, self._trained.looks = state["steps"], state["best_step"], looks
        self._best = state["best"]


def _of_memory(error: Exception) -> bool:
    """On a CPU torch says it in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _once(student: Student, drawn: Sequence[Sequence[Text]]) -> list[list[Vectors]]:
    """The vectors of each draw's texts. A text that several draws have is encoded once; one that a draw has twice, twice,
    for it may be dropout that tells them apart.
    """
    texts, places = list[Text](), dict[tuple[object, ...], int]()
    found: list[list[int]] = []
    for draw in drawn:
        seen: Counter[tuple[object, ...]] = Counter()
        found.append([])
        for text in draw:
            same = (text.text, text.context, text.context_ranges, text.ranges.tobytes())
            seen[same] += 1
            place = places.setdefault((*same, seen[same]), len(texts))
            if place == len(texts):
                texts.append(text)
            found[-1].append(place)
    vectors = student.encode(texts)
    return [[vectors[place] for place in draw] for draw in found]
