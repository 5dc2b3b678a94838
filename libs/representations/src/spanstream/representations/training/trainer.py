"""Training, top to bottom: draw, encode, weigh the losses, step; now and then look at what is held out and keep a checkpoint.

Nothing depends on how often it was stopped: what a step draws by chance follows from the seed and its number alone.
"""

from __future__ import annotations

import copy
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.training import adapters, checkpoint
from spanstream.representations.training.errors import CorpusUnsuitable, TrainingFailed
from spanstream.representations.training.objective import Assisted, Document, Sight
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.stream import Source, batches, held_out, refuse_unsuitable
from spanstream.representations.training.student import Student, Vectors
from spanstream.representations.training.team import ALONE, Team

ASSISTANT = "assistant_"  # before an objective's name, in the network while it learns
_SLOWER = "make learning_rate smaller, and train into another folder"


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
    recipe: Recipe,
    student: Student,
    source: Source,
    folder: Path,
    *,
    progress: Progress = lambda step, loss: None,
    team: Team = ALONE,
) -> Trained:
    """Learn from `source`, which gives the same passages each time it is called; go on from a checkpoint in `folder`.

    `progress(step, loss)` is called after each step. Of a `team` all call it with the same, and all get the same; the first
    one has the folder. Raises RecipeInvalid, CorpusUnsuitable, CheckpointInvalid and TrainingFailed.
    """
    refuse_unsuitable(source)
    with _deterministic(student.device):
        return _Run(recipe, student, held_out(source), folder, team).through(source, progress)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """A GPU adds in any order unless it is told not to; a processor does not."""
    if device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class _Run:
    def __init__(self, recipe: Recipe, student: Student, apart: list[Document], folder: Path, team: Team) -> None:
        self._recipe = recipe
        self._mixed = recipe.mixed()
        self._team = team
        student = replace(student, mixed=team.told(student.mixed))
        self._student = student
        self._start = replace(student, network=copy.deepcopy(student.network).eval())
        for module in student.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe.dropout
        if recipe.rank:
            torch.manual_seed(Random(f"{recipe.seed}/adapters").getrandbits(63))
            adapters.adapt(student.network, recipe.rank)
        for name, (_, objective) in self._mixed.items():
            if isinstance(objective, Assisted):
                torch.manual_seed(Random(f"{recipe.seed}/{name}").getrandbits(63))
                student.network.add_module(ASSISTANT + name, objective.assistant(student).to(student.device))
        self._apart = apart
        self._folder = folder
        self._learning = [each for each in student.network.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
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
                if self._team.rank == 0:
                    self._keep()
        self._student.network.load_state_dict(self._best)
        for name in [name for name, _ in self._student.network.named_children() if name.startswith(ASSISTANT)]:
            delattr(self._student.network, name)
        adapters.merge(self._student.network)
        self._student.network.eval()
        return trained

    def _step(self, documents: Sequence[Document]) -> float:
        number = self._trained.steps
        apart = f"/{self._team.rank}" if self._team.rank else ""  # the first one draws what one alone does
        torch.manual_seed(Random(f"{self._recipe.seed}/dropout/{number}{apart}").getrandbits(63))
        self._student.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate(number)
        self._optimizer.zero_grad()
        with _within_memory(len(documents)):
            total, each = self._losses(documents, Random(f"{self._recipe.seed}/{number}"))
            if not math.isfinite(float(total.detach())):
                raise TrainingFailed(f"the loss of step {number + 1} is no number: {_SLOWER}")
            if not each:
                raise TrainingFailed("no objective of the recipe finds anything to learn from in these passages")
            if total.requires_grad:  # else a worker without a text of its own
                total.backward()  # type: ignore[no-untyped-call]
            self._team.average(self._learning)
            torch.nn.utils.clip_grad_norm_(self._learning, self._recipe.clip)
            self._optimizer.step()
        return float(total.detach())

    def _losses(self, documents: Sequence[Document], chance: Random) -> tuple[torch.Tensor, dict[str, float]]:
        """The weighted sum, and each."""
        draws = {name: objective.draw(documents, chance) for name, (_, objective) in self._mixed.items()}
        layers = tuple(sorted({layer for draw in draws.values() for layer in draw.layers}))
        now = [
            [each._replace(early=each.early[[layers.index(layer) for layer in draw.layers]]) for each in vectors]
            for draw, vectors in zip(
                draws.values(),
                self._once(self._student, [draw.texts for draw in draws.values()], layers),
                strict=True,
            )
        ]
        start = cache(partial(self._before, [[*draw.texts, *draw.reference] for draw in draws.values()]))
        total, each = torch.zeros(()), dict[str, float]()
        for number, (name, draw) in enumerate(draws.items()):
            if draw.texts:
                assistant = getattr(self._student.network, ASSISTANT + name, None)
                sight = Sight(now[number], lambda number=number: start()[number], assistant)  # type: ignore[misc]
                loss = draw.loss(sight)
                total = total + self._mixed[name][0] * loss
                each[name] = float(loss.detach())
        return total, each

    def _before(self, drawn: Sequence[Sequence[Text]]) -> list[list[Vectors]]:
        with torch.no_grad():
            return self._once(self._start, drawn)

    def _once(
        self, student: Student, drawn: Sequence[Sequence[Text]], layers: tuple[int, ...] = ()
    ) -> list[list[Vectors]]:
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
        vectors = self._team.encode(student, texts, layers)
        return [[vectors[place] for place in draw] for draw in found]

    def _look(self) -> None:
        """At what is held out; what was best so far is kept."""
        self._student.network.eval()
        size, sums, total = self._recipe.batch, dict[str, float](), 0.0
        parts = [self._apart[at : at + size] for at in range(0, len(self._apart), size)]
        with torch.no_grad():
            for part in parts:
                with _within_memory(len(part)):
                    loss, each = self._losses(part, Random(self._recipe.seed))
                total += float(loss.detach()) / len(parts)
                for name, value in each.items():
                    sums[name] = sums.get(name, 0.0) + value / len(parts)
        trained = self._trained
        if nothing := [name for name in self._mixed if name not in sums and not trained.looks]:
            raise CorpusUnsuitable(
                f"of the passages that are held out, none has anything for {', '.join(nothing)}, so that nothing would say"
                " when to stop: give more passages, or more judged queries"
            )
        if not math.isfinite(total):
            raise TrainingFailed(
                f"what is held out has a loss that is no number after {trained.steps} steps: {_SLOWER}"
            )
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
        state = self._team.told(checkpoint.restore(self._folder, self._recipe) if self._team.rank == 0 else None)
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


@contextmanager
def _within_memory(passages: int) -> Iterator[None]:
    """Says what to do where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _of_memory(error):
            raise
        raise TrainingFailed(
            f"a step of {passages} passages does not fit in memory: make batch smaller, and train into another folder"
        ) from error


def _of_memory(error: Exception) -> bool:
    """On a CPU torch says it in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
