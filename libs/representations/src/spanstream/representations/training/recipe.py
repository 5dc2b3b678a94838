"""A recipe: the file that says what is learnt, from which model, how long.

start: minilm             # a name or folder of a model
steps: 100                # at most; 0: only the projection learns
batch: 24                 # passages of a step
learning_rate: 1.0e-4     # at its highest, after warmup_steps; falls to nothing in a straight line
warmup_steps: 20
weight_decay: 0.01
clip: 1.0                 # the longest gradient
dropout: 0.0              # share of the states and attentions that a step leaves out
evaluate_every: 50        # steps between two looks at passages that are held out
patience: 4               # looks without a gain after which it stops
rank: 0                   # of adapters that learn in place of the weights (LoRA); then the learning rate is higher, say 1.0e-3
seed: 0
objectives:               # each with its weight, and what else it may be told
  interaction: {weight: 3, temperature: 0.05}
  keep: {weight: 10}
projection: {}            # the matrix that is learnt last, and what it may be told: {steps: 0} for none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from spanstream.representations.errors import shown
from spanstream.representations.training.errors import RecipeInvalid
from spanstream.representations.training.objective import Objective
from spanstream.representations.training.objectives import OBJECTIVES
from spanstream.representations.training.projection import Projection
from spanstream.representations.training.settings import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    Range,
    at_least,
)
from spanstream.representations.unique_keys import UniqueKeys

T = TypeVar("T")

DEFAULT: Mapping[str, Mapping[str, Any]] = {
    "interaction": {"weight": 3.0},
    "keep": {"weight": 10.0},
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """See the module; `mixed` are the objectives with their weights."""

    start: str = "minilm"
    steps: Annotated[int, Range("0 (only the projection learns) or above", lambda value: value >= 0)] = 100
    batch: Annotated[int, at_least(2, ": a passage is told from the others of its step")] = 24
    learning_rate: Positive = 1e-4
    warmup_steps: CountOrNone = 20
    weight_decay: NotNegative = 0.01
    clip: Positive = 1.0
    dropout: Annotated[float, Range("0 at least and below 1", lambda value: 0 <= value < 1)] = 0.0
    evaluate_every: Count = 50
    patience: Count = 4
    rank: CountOrNone = 0
    seed: int = 0
    objectives: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: DEFAULT)
    projection: Mapping[str, Any] = field(default_factory=dict)

    def mixed(self) -> dict[str, tuple[float, Objective]]:
        """Name -> (weight, objective). Raises RecipeInvalid."""
        return {name: _objective(name, told) for name, told in self.objectives.items()}

    def projected(self) -> Projection:
        """How the matrix behind the encoder is learnt. Raises RecipeInvalid."""
        return _made(Projection, self.projection, "projection.")

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        rising = (step + 1) / max(self.warmup_steps, 1)
        return self.learning_rate * min(rising, 1.0) * (1 - step / self.steps)


def read_recipe(path: Path) -> Recipe:
    """Raises RecipeInvalid, which names the key and what may stand there."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except OSError as error:
        raise RecipeInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeInvalid(f"{path}: not YAML: {error}") from error
    try:
        return checked(found)
    except RecipeInvalid as error:
        raise RecipeInvalid(f"{path}: {error}") from error


def checked(found: object) -> Recipe:
    """A recipe of what a file says."""
    recipe = _made(Recipe, found, "")
    if "dropout" in recipe.objectives and not recipe.dropout:
        raise RecipeInvalid("objectives.dropout learns from what dropout leaves out: set dropout, such as 0.1")
    recipe.projected()
    if not recipe.mixed():
        raise RecipeInvalid(f"objectives must name one at least: {', '.join(OBJECTIVES)}")
    return recipe


def _objective(name: str, told: object) -> tuple[float, Objective]:
    if name not in OBJECTIVES:
        raise RecipeInvalid(f"objectives: {name!r} is none of {', '.join(OBJECTIVES)}")
    if not isinstance(told, Mapping):
        raise RecipeInvalid(f"objectives.{name} must hold keys and values such as weight: 1")
    weight = _value(told.get("weight", 1.0), Positive, f"objectives.{name}.weight")
    rest = {key: value for key, value in told.items() if key != "weight"}
    return weight, _made(OBJECTIVES[name], rest, f"objectives.{name}.", ("weight",))


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def _made(kind: type[T], found: object, place: str, beside: tuple[str, ...] = ()) -> T:
    """A dataclass of numbers, names, numbers in rows and mappings, each of the type and in the range that its field has."""
    if not isinstance(found, Mapping):
        raise RecipeInvalid(f"{place.rstrip('.') or 'a recipe'} must hold keys and values, not {shown(found)}")
    known = get_type_hints(kind, include_extras=True)
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in found if key not in names]:
        raise RecipeInvalid(f"{place}{unknown[0]} is unknown; known are {', '.join([*beside, *names])}")
    return kind(**{name: _value(value, known[name], place + name) for name, value in found.items()})


def _value(value: object, kind: Any, place: str) -> Any:
    """Of the type `kind`, and in the range that it is annotated with."""
    typed = _typed(value, get_args(kind)[0] if get_origin(kind) is Annotated else kind, place)
    for each in getattr(kind, "__metadata__", ()):
        if not each.holds(typed):
            raise RecipeInvalid(f"{place} must be {each.words}, not {shown(value)}")
    return typed


def _typed(value: object, kind: Any, place: str) -> object:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(found := _float(value)):
            raise RecipeInvalid(f"{place} must be a finite number, not {shown(value)}")
        return found
    if kind in (int, str) and isinstance(value, kind) and not isinstance(value, bool):
        return value
    if get_args(kind) == (int, ...) and isinstance(value, list) and all(type(each) is int for each in value):
        return tuple(value)
    if isinstance(value, Mapping) and get_args(kind):
        return value
    rows = "a list of whole numbers" if get_args(kind) == (int, ...) else "keys and values"
    wanted = {float: "a number", int: "a whole number", str: "text"}.get(kind, rows)
    raise RecipeInvalid(f"{place} must be {wanted}, not {shown(value)}")
