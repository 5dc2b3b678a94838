"""A BERT-type network straight from its safetensors file.

transformers would give the same weights, and takes several seconds of the start to bring what they are never used with:
training, generation, vision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from spanstream.representations.forward import ROBERTA, computes

FILE = "model.safetensors"


class Network(nn.Module):
    """The parts that the forward pass takes, by their names in the file; it has no forward of its own."""

    def __init__(self, config: Any) -> None:
        """`config`: of transformers, with `forward.computes`. The weights are not there yet."""
        super().__init__()
        self.config = config
        width, epsilon = config.hidden_size, config.layer_norm_eps
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = _table(config.vocab_size, width)
        self.embeddings.position_embeddings = _table(config.max_position_embeddings, width)
        self.embeddings.token_type_embeddings = _table(config.type_vocab_size, width)
        self.embeddings.LayerNorm = nn.LayerNorm(width, epsilon)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(
            _layer(width, config.intermediate_size, epsilon) for _ in range(config.num_hidden_layers)
        )

    def get_input_embeddings(self) -> nn.Module:
        """As transformers' models have it."""
        words = self.embeddings.word_embeddings
        assert isinstance(words, nn.Module)
        return words


def _table(rows: int, width: int) -> nn.Embedding:
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))  # else torch draws it, with its compiler


def _layer(width: int, wider: int, epsilon: float) -> nn.Module:
    attention, intermediate, output = nn.Module(), nn.Module(), nn.Module()
    attention.self = nn.Module()
    for name in ("query", "key", "value"):
        setattr(attention.self, name, nn.Linear(width, width))
    attention.output = nn.Module()
    attention.output.dense, attention.output.LayerNorm = nn.Linear(width, width), nn.LayerNorm(width, epsilon)
    intermediate.dense = nn.Linear(width, wider)
    output.dense, output.LayerNorm = nn.Linear(wider, width), nn.LayerNorm(width, epsilon)
    layer = nn.Module()
    layer.attention, layer.intermediate, layer.output = attention, intermediate, output
    return layer


def network(folder: Path, config: Any, dtype: torch.dtype) -> Network | None:
    """The network in a folder; none where it is another kind, or its weights have other names, shapes or files: then
    transformers reads it, or says what is wrong.
    """
    if not computes(config) or not (folder / FILE).is_file():
        return None
    try:
        weights = load_file(folder / FILE)
        with torch.device("meta"):
            made = Network(config)
        # A model that was saved with a head has its own name before each of these.
        prefix = "roberta." if config.model_type in ROBERTA else "bert."
        named = {name.removeprefix(prefix): weight.to(dtype) for name, weight in weights.items()}
        missing, _ = made.load_state_dict(named, strict=False, assign=True)
    except (SafetensorError, RuntimeError, AttributeError, TypeError, ValueError):
        return None
    return None if missing else made
