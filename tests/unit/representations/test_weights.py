"""A network that is read straight from its file is the one that transformers reads; what is another kind is left to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from spanstream.representations.forward import forward_pass
from spanstream.representations.weights import FILE, network
from tests.unit.representations.test_forward import SMALL, rows, states_of

HEADED = {
    "bert": transformers.BertForMaskedLM,
    "roberta": transformers.RobertaForMaskedLM,
    "xlm-roberta": transformers.XLMRobertaForMaskedLM,
    "camembert": transformers.CamembertForMaskedLM,
}


def saved(folder: Path, model_type: str, *, headed: bool = False, **changes: object) -> Path:
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(model_type, **(SMALL | {"pad_token_id": 1} | changes))
    made = HEADED[model_type](config) if headed else transformers.AutoModel.from_config(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("headed", [False, True])
@pytest.mark.parametrize("model_type", HEADED)
def test_it_gives_the_states_of_transformers(tmp_path: Path, model_type: str, headed: bool, dtype: torch.dtype) -> None:
    folder = saved(tmp_path, model_type, headed=headed)
    own = network(folder, transformers.AutoConfig.from_pretrained(folder), dtype)
    assert own is not None
    theirs = transformers.AutoModel.from_pretrained(folder, dtype=dtype)
    ids, texts = rows()
    torch.testing.assert_close(
        states_of(forward_pass(own), ids, texts), states_of(forward_pass(theirs), ids, texts), atol=0, rtol=0
    )


def another_kind(folder: Path) -> None:
    saved(folder, "mpnet")


def another_activation(folder: Path) -> None:
    saved(folder, "bert", hidden_act="relu")


def several_files(folder: Path) -> None:
    saved(folder, "bert")
    (folder / FILE).rename(folder / "model-00001-of-00001.safetensors")


def names_of_long_ago(folder: Path) -> None:
    saved(folder, "bert")
    weights = load_file(folder / FILE)
    save_file(
        {name.replace("LayerNorm.weight", "LayerNorm.gamma"): each for name, each in weights.items()}, folder / FILE
    )


def other_shapes(folder: Path) -> None:
    saved(folder, "bert", intermediate_size=48)
    saved(folder / "told", "bert")
    (folder / "told" / "config.json").replace(folder / "config.json")


def damaged(folder: Path) -> None:
    saved(folder, "bert")
    (folder / FILE).write_bytes(b"damaged")


@pytest.mark.parametrize(
    "make", [another_kind, another_activation, several_files, names_of_long_ago, other_shapes, damaged]
)
def test_what_it_does_not_know_is_left_to_transformers(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path)
    assert network(tmp_path, transformers.AutoConfig.from_pretrained(tmp_path), torch.float32) is None
