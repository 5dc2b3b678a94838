from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from spanstream.representations.forward import Bert, Transformer, computes, forward_pass
from spanstream.representations.model import load

SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
LENGTHS = [30, 1, 17, 30]


def network(model_type: str, **changes: object) -> Any:
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(model_type, **(SMALL | {"pad_token_id": 1} | changes))
    made = transformers.AutoModel.from_config(config).eval()
    for parameter in made.parameters():  # so that biases and norms count as well
        nn.init.normal_(parameter, std=0.3)
    return made


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 100, (len(LENGTHS), 32))
    for row, length in zip(ids, LENGTHS, strict=True):
        row[length:] = 1
    return ids, (torch.arange(32)[None] < torch.tensor(LENGTHS)[:, None]).long()


def states_of(module: nn.Module, ids: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """The states of all real tokens, one below the other."""
    with torch.inference_mode():
        states = module(ids, texts)
    return torch.cat([row[:length] for row, length in zip(states, LENGTHS, strict=True)])


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"])
def test_the_states_are_those_of_transformers(model_type: str) -> None:
    own = network(model_type)
    ids, texts = rows()
    with torch.inference_mode():
        expected = own(input_ids=ids, attention_mask=texts).last_hidden_state
    expected = torch.cat([row[:length] for row, length in zip(expected, LENGTHS, strict=True)])
    made = forward_pass(copy.deepcopy(own))
    for _ in range(3):  # a compiled module settles after its first calls
        torch.testing.assert_close(states_of(made, ids, texts), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_texts_that_share_a_row_do_not_see_each_other(model_type: str) -> None:
    made = forward_pass(network(model_type))
    assert made.packs
    ids, texts = rows()
    alone = states_of(made, ids, texts)
    shared = torch.cat(
        [row[:length] for row, length in zip(ids, LENGTHS, strict=True)] + [torch.ones(7, dtype=torch.int64)]
    )
    numbers = torch.cat(
        [torch.full((length,), number) for number, length in enumerate(LENGTHS, 1)] + [torch.zeros(7).long()]
    )
    with torch.inference_mode():
        packed = made(shared[None], numbers[None])[0, :-7]
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("model_type", "changes", "expected"),
    [
        ("bert", {}, True),
        ("roberta", {}, True),
        ("bert", {"hidden_act": "relu"}, False),
        ("bert", {"is_decoder": True}, False),
        ("mpnet", {}, False),
    ],
)
def test_only_a_model_that_computes_the_same_is_read_that_way(
    model_type: str, changes: dict[str, object], expected: bool
) -> None:
    assert computes(network(model_type, **changes).config) is expected


def test_compiled_and_uncompiled_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, texts = rows()
    compiled = forward_pass(network("bert"))
    assert isinstance(compiled, torch.jit.ScriptModule)
    monkeypatch.setattr("spanstream.representations.forward._COMPILABLE", False)
    plain = forward_pass(network("bert"))
    assert isinstance(plain, Bert)
    torch.testing.assert_close(states_of(compiled, ids, texts), states_of(plain, ids, texts))


def test_a_copy_in_another_type_leaves_the_original() -> None:
    ids, texts = rows()
    made = forward_pass(network("bert"))
    before = states_of(made, ids, texts)
    half = copy.deepcopy(made).to(torch.bfloat16)
    cosine = torch.nn.functional.cosine_similarity(states_of(half, ids, texts).float(), before)
    assert cosine.min() > 0.99
    torch.testing.assert_close(states_of(made, ids, texts), before)


def test_other_models_run_as_they_are() -> None:
    made = forward_pass(network("mpnet"))
    assert isinstance(made, Transformer)
    assert not made.packs


def test_rows_are_padded_to_tiles_but_not_beyond_the_window() -> None:
    model = replace(load("minilm"), network=forward_pass(network("bert")), max_tokens=40)  # 40 positions, not 48
    assert model.states([np.arange(5, 45, dtype=np.int32)]).shape == (1, 40, 32)
    assert model.states([np.arange(5, 8, dtype=np.int32), np.arange(5, 24, dtype=np.int32)]).shape == (2, 19, 32)
