"""What stands around a model in a sentence-transformers folder: pooling, prompts, lengths, and layers behind the pool."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.poolings import Pooling
from spanstream.representations.transforms import Chain

_ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "Identity": lambda values: values,
    "Tanh": np.tanh,
    "ReLU": lambda values: np.maximum(values, 0),
    "Sigmoid": lambda values: 1 / (1 + np.exp(-values)),
}
# As sentence-transformers names them; of those that a model has, the first in this order is the documents'.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Dense:
    """A layer behind the pool: `activation(vectors @ weight.T + bias)`; `weight` [out, in], `bias` [out]."""

    weight: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)
    activation: str

    def apply(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n, in] -> [n, out]."""
        made: NDArray[np.float64] = _ACTIVATIONS[self.activation](vectors @ self.weight.T + self.bias)
        return made


@dataclass(frozen=True, slots=True)
class Normalize:
    """Between two layers: to unit length."""

    def apply(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n, d] -> [n, d]."""
        unit: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit


@dataclass(frozen=True, slots=True)
class Transforms:
    """What was fitted on this model's unit vectors."""

    chain: Chain

    def apply(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n, d] -> [n, d'], of unit length."""
        return self.chain.apply(Normalize().apply(vectors).astype(np.float32)).astype(np.float64)


class Head(Protocol):
    """One of these, or a stage that is not fitted."""

    def apply(self, vectors: NDArray[Any], /) -> NDArray[Any]:
        """[n, d] -> [n, d']."""
        ...


@dataclass(frozen=True, slots=True)
class Modules:
    """The folder's own choices, each of which a release may replace. `folder`: of the transformer."""

    folder: Path
    pooling: Pooling = Pooling.MEAN
    include_prompt: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    max_seq_length: int | None = None
    lower: bool = False
    heads: tuple[Head, ...] = ()


def read_modules(folder: Path) -> Modules:
    """Read `modules.json` and what it names; a folder without one is a transformer that is pooled by its mean.

    Raises ModelUnsupported for a module, a pooling or an activation that is not known, and for files that are not as they
    must be.
    """
    try:
        return _read(folder)
    except _NOT_AS_IT_MUST_BE as error:
        said = f"{type(error).__name__}: {error}"
        raise ModelUnsupported(f"what stands around the model in {folder} cannot be read: {said}") from error


# What a wrong type, a missing key and damaged weights raise where they are used.
_NOT_AS_IT_MUST_BE = (
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


def _read(folder: Path) -> Modules:
    query, document = _prompts(_json(folder / "config_sentence_transformers.json"))
    if not (folder / "modules.json").is_file():
        return Modules(folder, query_prompt=query, document_prompt=document)
    transformer, sentence = folder, dict[str, Any]()
    pooling, include_prompt = Pooling.MEAN, True
    heads: list[Head] = []
    for module in json.loads((folder / "modules.json").read_text()):
        kind, at = module["type"].rpartition(".")[2], folder / module["path"]
        if kind == "Transformer":
            transformer, sentence = at, _json(at / "sentence_bert_config.json")
        elif kind == "Pooling":
            config = _json(at / "config.json")
            pooling, include_prompt = _pooling(config), bool(config.get("include_prompt", True))
        elif kind == "Dense":
            heads.append(_dense(at))
        elif kind == "Normalize":
            heads.append(Normalize())
        else:
            raise ModelUnsupported(f"the module {kind} of the model in {folder} is not supported")
    return Modules(
        folder=transformer,
        pooling=pooling,
        include_prompt=include_prompt,
        query_prompt=query,
        document_prompt=document,
        max_seq_length=_length(sentence),
        lower=bool(sentence.get("do_lower_case")),
        heads=tuple(heads),
    )


def _json(path: Path) -> dict[str, Any]:
    """An object; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ModelUnsupported(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelUnsupported(f"{path} must hold keys and values")
    return found


def _length(config: Mapping[str, Any]) -> int | None:
    found = config.get("max_seq_length")
    if found is not None and (not isinstance(found, int) or found < 1):
        raise ModelUnsupported(f"max_seq_length of the model must be a number above 0, not {found!r}")
    return found


def _prompts(config: Mapping[str, Any]) -> tuple[str, str]:
    """Of queries and of documents, as `encode_query` and `encode_document` choose them."""
    prompts: Mapping[str, str] = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name") or "", "")
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), default)
    query = prompts.get("query", default)
    for prompt in (query or "", document or ""):
        prompt.encode()  # raises for what is no text, and for halves of characters, which JSON can spell
    return query or "", document or ""


def _pooling(config: Mapping[str, Any]) -> Pooling:
    flags = [mode for mode in config if mode.startswith("pooling_mode_") and config[mode] is True]
    named = [_FLAGS.get(mode.removeprefix("pooling_mode_"), mode) for mode in flags] or [
        config.get("pooling_mode", "mean")
    ]
    if len(named) != 1 or named[0] not in list(Pooling):
        raise ModelUnsupported(f"the pooling {named} is not supported; known are {', '.join(Pooling)}")
    return Pooling(named[0])


_FLAGS = {
    "cls_token": "cls",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "max_tokens": "max",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}


def _dense(folder: Path) -> Dense:
    config = _json(folder / "config.json")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise ModelUnsupported(f"the activation {activation} in {folder} is not known: {', '.join(_ACTIVATIONS)}")
    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if safe.is_file():
        weights = load_file(safe)
    elif pickled.is_file():
        weights = torch.load(pickled, map_location="cpu", weights_only=True)
    else:
        raise ModelUnsupported(f"the weights of {folder} are missing: model.safetensors")
    weight = weights["linear.weight"].double().numpy()
    bias = weights["linear.bias"].double().numpy() if "linear.bias" in weights else np.zeros(len(weight))
    return Dense(weight, bias, activation)
