from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spanstream.encoder.encoder import Text
from spanstream.representations.errors import ModelNotFound, ModelUnsupported
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import Model, find, load

sentence_transformers = pytest.importorskip("sentence_transformers")
NONE = np.empty((0, 2), np.int32)
TEXTS = [
    "A plain sentence.",
    "",
    "  padded \n",
    "\U0001f600 emoji, e\u0301 combining, \u4f60\u597d, \u0130stanbul, STRASSE",
    "long " * 250,  # 252 tokens: the longest that fits
    "x" * 50_000,
    "a\x00b \ufffd \u200b",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model that a test may change."""
    return Path(shutil.copytree(find("minilm"), tmp_path_factory.mktemp("model") / "copied"))


def parity(model: Model, folder: Path) -> None:
    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    expected = peer.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    local = LocalEncoder(model)
    results = local.encode([Text(text, NONE) for text in TEXTS])
    local.close()
    np.testing.assert_allclose(np.stack([result.whole for result in results]), expected, atol=1e-5)


def test_the_default_equals_sentence_transformers(minilm: Model) -> None:
    assert (minilm.name, minilm.pooling, minilm.max_tokens, minilm.dimension) == ("all-MiniLM-L6-v2", "mean", 256, 384)
    parity(minilm, find("minilm"))


def test_title_and_text_equal_the_two_joined(minilm: Model) -> None:
    peer = sentence_transformers.SentenceTransformer(str(find("minilm")), device="cpu")
    local = LocalEncoder(minilm)
    (result,) = local.encode([Text("The wing stalls.", NONE, "Aerodynamics")])
    local.close()
    expected = peer.encode("Aerodynamics\nThe wing stalls.", show_progress_bar=False)
    np.testing.assert_allclose(result.whole, expected, atol=1e-5)


def test_pooling_length_and_lower_casing_are_obeyed(folder: Path) -> None:
    config = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 300, "do_lower_case": True}))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    model = load(str(folder))
    assert (model.name, model.pooling, model.max_tokens) == ("copied", "cls", 300)
    parity(model, folder)


def test_what_is_not_supported_is_refused_at_load(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "attention"}))
    with pytest.raises(ModelUnsupported, match="pooling"):
        load(str(folder))
    (folder / "model.safetensors").unlink()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}))
    with pytest.raises(ModelUnsupported, match="cannot be loaded"):
        load(str(folder))


def test_a_missing_model_is_said_so(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "not a name!"):
        with pytest.raises(ModelNotFound, match="no model folder"):
            find(name)


def test_loading_brings_no_service_and_nothing_that_only_training_needs() -> None:
    code = (
        "import sys, spanstream.representations.local as local; local.open_local('minilm', dtype='float32').close();"
        "print(sorted({'sentence_transformers', 'fastapi', 'kafka', 'torch._dynamo', 'transformers.modeling_utils'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
