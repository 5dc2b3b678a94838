"""The forward pass: token ids -> last hidden states, compiled so that it runs without the interpreter where it can.

Several batches run at once, each in a thread beside threads of other work. From Python, a thread waits for the
interpreter after each of a hundred operations of a pass: beside work that took a fifth of the interpreter's time two
threads lost 40 % of their speed, compiled 12 % (docs/decisions/0006-compiled-forward.md).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from spanstream.representations.errors import ModelUnsupported

# Their position ids begin behind the padding id, BERT's at 0.
ROBERTA = ("roberta", "xlm-roberta", "camembert")
_ACTIVATIONS = ("gelu",)
# TorchScript ends with Python 3.13; from then on the same modules run uncompiled.
_COMPILABLE = sys.version_info < (3, 14)


def attention(mixed: torch.Tensor, heads: int, mask: torch.Tensor) -> torch.Tensor:
    """Queries, keys and values [rows, length, 3 * width] -> what each token's heads take from the others [rows, length, width]."""
    rows, length, width = mixed.shape[0], mixed.shape[1], mixed.shape[2] // 3
    parts = mixed.view(rows, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    context = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
    return context.transpose(1, 2).reshape(rows, length, width)


class Layer(nn.Module):
    """One block, post-norm: attention with queries, keys and values from one product, then the feed-forward part."""

    def __init__(
        self,
        heads: int,
        products: tuple[nn.Module, nn.Module, nn.Module, nn.Module],
        norms: tuple[nn.Module, nn.Module],
    ) -> None:
        """`products`: to queries, keys and values; behind attention; to the wider states and back."""
        super().__init__()
        self.heads = heads
        self.mixed, self.attended, self.widened, self.narrowed = products
        self.first_norm, self.second_norm = norms

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[rows, length, width] -> the same; `mask` [rows, 1, length, length] is added to the attention's scores."""
        return self.feed(self.attend(states, mask))

    def attend(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The first half of it."""
        context = attention(self.mixed(states), self.heads, mask)
        result: torch.Tensor = self.first_norm(self.attended(context).add_(states))
        return result

    def feed(self, states: torch.Tensor) -> torch.Tensor:
        """The second half of it."""
        narrowed = self.narrowed(functional.gelu(self.widened(states)))
        result: torch.Tensor = self.second_norm(narrowed.add_(states))
        return result


class Bert(nn.Module):
    """BERT, RoBERTa and their kin, for rows that hold one text or several, one behind the other, and padding at the end.

    Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019.
    """

    def __init__(
        self,
        words: nn.Module,
        positions: nn.Parameter,
        norm: nn.Module,
        layers: Sequence[nn.Module],
        averaged: Sequence[int],
    ) -> None:
        """`positions` [longest, width]. `averaged`: as `layers` of `forward_pass`, counted from 0."""
        super().__init__()
        self.packs = True
        self.words = words
        self.positions = positions
        self.norm = norm
        self.layers = nn.ModuleList(layers)
        self.averaged = list(averaged)

    def forward(self, ids: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """`ids` and `texts` [rows, length] int64 -> [rows, length, width]; see `forward_pass`."""
        states, mask = self.embed(ids, texts)
        kept = [states] if 0 in self.averaged else []
        for number, layer in enumerate(self.layers):
            states = layer(states, mask)
            if number + 1 in self.averaged:
                kept.append(states)
        return kept[0] if len(kept) == 1 else torch.stack(kept).mean(dim=0)

    def embed(self, ids: torch.Tensor, texts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The states before the first layer, and the mask of all layers: a token sees those of its own text."""
        rows, length = ids.shape
        places = torch.arange(length, device=ids.device).expand(rows, length)
        begins = torch.cat([torch.ones_like(texts[:, :1]), texts[:, 1:] != texts[:, :-1]], dim=1)
        positions = places - torch.cummax(places * begins, dim=1)[0]
        states: torch.Tensor = self.norm(self.words(ids) + self.positions[positions.clamp(max=len(self.positions) - 1)])
        others = texts[:, None, :, None] != texts[:, None, None, :]
        mask = torch.zeros(others.shape, dtype=states.dtype, device=ids.device).masked_fill(others, float("-inf"))
        return states, mask


class Transformer(nn.Module):
    """Any other model of transformers, as it is."""

    def __init__(self, network: Any, layers: Sequence[int]) -> None:
        super().__init__()
        self.packs = False
        self.network = network
        self.averaged = list(layers)
        stack = getattr(getattr(network, "encoder", None), "layer", None)
        if isinstance(stack, nn.ModuleList):  # else it computes the layers above for nothing
            network.encoder.layer = stack[: max(layers)]

    def forward(self, ids: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """`ids` and `texts` [rows, length] int64 -> [rows, length, width]; a row holds one text."""
        output = self.network(input_ids=ids, attention_mask=(texts > 0).long(), output_hidden_states=True)
        kept = [output.hidden_states[number] for number in self.averaged]
        return kept[0] if len(kept) == 1 else torch.stack(kept).mean(dim=0)


def forward_pass(network: Any, layers: Sequence[int] = (-1,)) -> nn.Module:
    """A module `(ids, texts) -> states` with the weights of a transformers model, ready to run.

    `ids` [rows, length] are tokens, `texts` [rows, length] the text of its row that each belongs to, from 1, padding to 0. Where
    its `packs` holds, a row may have several: none sees another, and each has positions of its own (packed rows, Krell et al. 2021).

    The states are the mean of those after each of `layers`: 0 are the embeddings, 1 is the first layer, -1 the last.
    Layers above the highest one are not computed (early exit). Raises ModelUnsupported for a layer that is not there.
    """
    count = int(network.config.num_hidden_layers)
    if not layers or not all(-count - 1 <= layer <= count for layer in layers):
        raise ModelUnsupported(
            f"layers {list(layers)} of a model that has {count}: name 0 to {count}, or -1 for the last"
        )
    numbers = sorted({layer % (count + 1) for layer in layers})
    if not computes(network.config):
        return Transformer(network, numbers).eval().requires_grad_(False)
    return compiled(_bert(network, numbers))


def compiled(module: Bert) -> nn.Module:
    """The same, ready to run."""
    module = module.eval().requires_grad_(False)  # a compiled copy of others would keep their history
    if not _COMPILABLE:
        return module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that it is deprecated: see _COMPILABLE
        scripted: nn.Module = torch.jit.script(module)
    return scripted


def computes(config: Any) -> bool:
    """Whether `Bert` computes what a model of transformers with this configuration does."""
    return (
        config.model_type in ("bert", *ROBERTA)
        and config.hidden_act in _ACTIVATIONS
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not getattr(config, "is_decoder", False)
    )


def _bert(network: Any, averaged: Sequence[int]) -> Bert:
    """With the weights of a transformers model that `computes` holds for."""
    config, embeddings = network.config, network.embeddings
    first = config.pad_token_id + 1 if config.model_type in ROBERTA else 0
    positions = embeddings.position_embeddings.weight[first:] + embeddings.token_type_embeddings.weight[0]
    layers = [_layer(each, config.num_attention_heads) for each in network.encoder.layer[: max(averaged)]]
    own = nn.Parameter(positions.detach().clone(), requires_grad=False)
    return Bert(embeddings.word_embeddings, own, embeddings.LayerNorm, layers, averaged)


def _layer(layer: Any, heads: int) -> Layer:
    """`layer`: a BertLayer of transformers, or one with the same parts."""
    attention, output = layer.attention.self, layer.attention.output
    parts = (attention.query, attention.key, attention.value)
    mixed = _linear(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
    attended = _linear(output.dense.weight, output.dense.bias)
    products = (mixed, attended, layer.intermediate.dense, layer.output.dense)
    return Layer(heads, products, (output.LayerNorm, layer.output.LayerNorm))


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight, made.bias = nn.Parameter(weight.detach(), False), nn.Parameter(bias.detach(), False)
    return made
