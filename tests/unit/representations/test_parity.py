"""The whole text's vector is what sentence-transformers' `encode()` gives, for every kind of model, pooling and prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanstream.encoder.encoder import Text
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import load
from tests.unit.representations.tiny import KINDS, LINES, WINDOW, build, peer

NONE = np.empty((0, 2), np.int32)
TEXTS = [*LINES, "wing", "two  spaces ", "x" * 200, "\U0001f600 \u0130stanbul"]
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
PROMPTS = {"query": "query: ", "document": "passage: "}


def ours(folder: Path, *, query: bool = False) -> np.ndarray[Any, Any]:
    local = LocalEncoder(load(str(folder)))
    try:
        return np.stack([each.whole for each in local.encode([Text(text, NONE) for text in TEXTS], query=query)])
    finally:
        local.close()


def assert_parity(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert (found * expected).sum(1).min() >= 0.9999


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_of_every_kind(tmp_path: Path, kind: str, pooling: str) -> None:
    folder = build(tmp_path / "model", kind, {"pooling_mode": pooling})
    model = peer(folder)
    short = [text for text in TEXTS if len(model.tokenizer(text)["input_ids"]) <= WINDOW]
    assert len(short) >= 5
    found = dict(zip(TEXTS, ours(folder), strict=True))
    expected = model.encode(short, show_progress_bar=False)
    assert_parity(np.stack([found[text] for text in short]), expected)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "weightedmean", "max", "cls"])
def test_prompts_are_read_and_pooled_or_not(tmp_path: Path, kind: str, pooling: str, include: bool) -> None:
    folder = build(
        tmp_path / "model", kind, {"pooling_mode": pooling, "include_prompt": include}, prompts=PROMPTS, normalize=True
    )
    if pooling == "cls" and not include:
        pytest.skip("sentence-transformers then pools what follows the prompt, which nobody means by cls")
    model = peer(folder)
    short = [len(model.tokenizer("passage: " + text)["input_ids"]) <= WINDOW for text in TEXTS]
    for query, encode in ((True, model.encode_query), (False, model.encode_document)):
        expected = encode(TEXTS, show_progress_bar=False)
        assert_parity(ours(folder, query=query)[short], expected[short])


def test_layers_behind_the_pool(tmp_path: Path, kind: str) -> None:
    folder = build(tmp_path / "model", kind, {"pooling_mode": "mean"}, dense=16, normalize=True)
    model = peer(folder)
    short = [len(model.tokenizer(text)["input_ids"]) <= WINDOW for text in TEXTS]
    found = ours(folder)
    assert found.shape[1] == 16
    assert_parity(found[short], model.encode(TEXTS, show_progress_bar=False)[short])
