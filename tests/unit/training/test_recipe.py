from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from spanstream.representations.training.errors import RecipeInvalid
from spanstream.representations.training.objectives.sentences import Sentences
from spanstream.representations.training.recipe import Recipe, checked, read_recipe


def test_what_a_recipe_does_not_say_has_a_default() -> None:
    recipe = checked({"steps": 10, "objectives": {"sentences": {"weight": 2, "temperature": 0.1}}})
    assert recipe.mixed() == {"sentences": (2.0, Sentences(temperature=0.1))}
    assert recipe.learning_rate == Recipe().learning_rate
    assert list(Recipe().mixed()) == ["interaction", "keep"]


def test_the_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=100, warmup_steps=10, learning_rate=1.0)
    assert recipe.rate(0) == pytest.approx(0.1)
    assert recipe.rate(10) == pytest.approx(0.9)
    assert recipe.rate(99) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "a recipe must hold keys and values"),
        ({"step": 3}, "step is unknown; known are start, steps"),
        ({"steps": "3"}, "steps must be a whole number, not '3'"),
        ({"steps": True}, "steps must be a whole number"),
        ({"steps": -1}, "steps must be 0 (only the projection learns) or above"),
        ({"projection": {"magic": 1}}, "projection.magic is unknown; known are steps, learning_rate"),
        ({"projection": {"passages": 5}}, "projection.passages must be 20 at least"),
        ({"projection": {"temperature": 0}}, "projection.temperature must be above 0"),
        ({"batch": 1}, "batch must be 2 at least"),
        ({"rank": -1}, "rank must be 0 or above"),
        ({"dropout": 1}, "dropout must be 0 at least and below 1"),
        ({"objectives": {"dropout": {}}}, "objectives.dropout learns from what dropout leaves out: set dropout"),
        ({"learning_rate": -1}, "learning_rate must be above 0"),
        ({"objectives": {}}, "objectives must name one at least: consensus"),
        ({"objectives": {"magic": {}}}, "objectives: 'magic' is none of consensus, crops"),
        ({"objectives": {"crops": 1}}, "objectives.crops must hold keys and values"),
        ({"objectives": {"crops": {"weight": 0}}}, "objectives.crops.weight must be above 0, not 0"),
        ({"objectives": {"crops": {"least": "a"}}}, "objectives.crops.least must be a number, not 'a'"),
        (
            {"objectives": {"crops": {"lest": 1}}},
            "objectives.crops.lest is unknown; known are weight, temperature, least, most",
        ),
        ({"objectives": {"matryoshka": {"dimensions": [1.5]}}}, "dimensions must be a list of whole numbers"),
        ({"objectives": ["keep"]}, "objectives must be keys and values, not ['keep']"),
        ({"warmup_steps": -5}, "warmup_steps must be 0 or above"),
        ({"weight_decay": -1}, "weight_decay must be 0 or above"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number"),
        ({"clip": 10**400}, "clip must be a finite number"),
        ({"projection": {"decay": math.inf}}, "projection.decay must be a finite number"),
        ({"objectives": {"crops": {"weight": math.inf}}}, "objectives.crops.weight must be a finite number"),
        ({"objectives": {"keep": {"queries": 0}}}, "objectives.keep.queries must be above 0"),
        ({"objectives": {"spans": {"longest": -1}}}, "objectives.spans.longest must be above 0"),
        ({"objectives": {"crops": {"temperature": 0}}}, "objectives.crops.temperature must be above 0"),
        ({"objectives": {"consensus": {"alone": 7}}}, "objectives.consensus.alone must be between 0 and 1"),
        ({"objectives": {"layers": {"agree": -1}}}, "objectives.layers.agree must be 0 or above"),
        ({"objectives": {"matryoshka": {"dimensions": [0, 5]}}}, "dimensions must be whole numbers above 0"),
        ({"objectives": {"matryoshka": {"dimensions": []}}}, "dimensions must be whole numbers above 0"),
    ],
)
def test_what_is_wrong_is_named(told: Any, said: str) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        checked(told)
    assert said in str(caught.value)


def test_a_file_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(RecipeInvalid, match="cannot be read: No such file"):
        read_recipe(path)
    path.write_text("steps: [")
    with pytest.raises(RecipeInvalid, match="not YAML"):
        read_recipe(path)
    path.write_text("steps: 5\nsteps: 6\n")
    with pytest.raises(RecipeInvalid, match="steps stands there twice"):
        read_recipe(path)
    path.write_text("steps: 5\n")
    assert read_recipe(path).steps == 5
