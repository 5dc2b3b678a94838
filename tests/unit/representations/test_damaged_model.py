"""A model's folder that is damaged, incomplete or of another kind is refused when it is loaded, with what is wrong in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from spanstream.encoder.encoder import Text
from spanstream.representations.errors import ModelUnsupported, ReleaseInvalid
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import load
from spanstream.representations.release import Release
from tests.unit.representations.tiny import WIDTH, build, tokenizer_of

Change = Callable[[Path], object]
QUERY = "encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("damaged") / "tiny", "bert", {"pooling_mode": "mean"}, dense=8)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], of: str = ".") -> Change:
    def changed(folder: Path) -> None:
        path = folder / of / "model.safetensors"
        save_file(change(load_file(path)), path, {"format": "pt"})

    return changed


def text(name: str, content: str | bytes) -> Change:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def config(**choices: Any) -> Change:
    def changed(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | choices))

    return changed


def no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")


def fewer_words(folder: Path) -> None:
    name = "embeddings.word_embeddings.weight"
    weights(lambda held: held | {name: held[name][:50].clone()})(folder)
    config(vocab_size=50)(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (weights(lambda held: {k: v for k, v in held.items() if ".layer.1." not in k}), "lack 16 that the model has"),
        (weights(lambda held: held | {QUERY: torch.zeros(32, 16)}), f"other shapes than its config.json says: {QUERY}"),
        (weights(lambda held: held | {QUERY: torch.full((32, 32), torch.nan)}), "no finite states"),
        (config(num_hidden_layers=5), "lack 32 that the model has"),
        (config(hidden_size="wide"), "cannot be loaded"),
        (config(model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"}), "cannot be loaded"),
        (text("config.json", "[]"), "cannot be loaded"),
        (pickled, "cannot be loaded"),
        (no_tokenizer, "has no tokenizer"),
        (fewer_words, "has tokens beyond the 50 that the model knows"),
        (text("modules.json", "{"), "JSONDecodeError"),
        (text("modules.json", "[" * 100_000), "RecursionError"),
        (text("modules.json", '[{"path": ""}]'), "KeyError: 'type'"),
        (text("sentence_bert_config.json", "[]"), "must hold keys and values"),
        (text("sentence_bert_config.json", '{"max_seq_length": "many"}'), "must be a number above 0, not 'many'"),
        (text("config_sentence_transformers.json", '{"prompts": {"query": 5}}'), "cannot be read"),
        (text("config_sentence_transformers.json", '{"prompts": {"query": "\\ud800"}}'), "surrogates not allowed"),
        (weights(lambda held: {"other": torch.zeros(2)}, "2_Dense"), "KeyError: 'linear.weight'"),
        (
            weights(lambda held: held | {"linear.weight": torch.ones(8, 16)}, "2_Dense"),
            "does not fit the 32 components",
        ),
        (weights(lambda held: held | {"linear.bias": torch.zeros(7)}, "2_Dense"), "does not fit the 32 components"),
        (text("2_Dense/model.safetensors", b"\0" * 9), "SafetensorError"),
    ],
)
@pytest.mark.promise("I18")
def test_a_damaged_folder_is_refused(folder: Path, change: Change, said: str) -> None:
    change(folder)
    with pytest.raises(ModelUnsupported, match=said):
        load(str(folder))


def test_a_head_that_is_not_read_may_be_missing(folder: Path) -> None:
    weights(lambda held: {k: v for k, v in held.items() if "pooler" not in k})(folder)
    assert load(str(folder)).dimension == 8


def test_a_model_that_does_not_read_a_text_alone_is_refused(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("bert")
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    wanted = transformers.AutoConfig.for_model("t5", vocab_size=len(tokenizer), pad_token_id=0, **sizes)
    transformers.AutoModel.from_config(wanted).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelUnsupported, match="does not read text"):
        load(str(tmp_path))


def test_a_window_too_short_for_any_text_is_refused(whole: Path) -> None:
    with pytest.raises(ReleaseInvalid, match="max_seq_length is 15, a window has at least 16"):
        load(Release("tiny", str(whole), max_seq_length=15))
    local = LocalEncoder(load(Release("tiny", str(whole), max_seq_length=16)))
    (result,) = local.encode([Text("word " * 100, np.zeros((0, 2), np.int32), "a title of its own")])
    local.close()
    assert WIDTH > len(result.whole) == 8
