"""The forward pass with its products over bytes: for processors with instructions for those (VNNI) and no matrix units.

Weights have a scale for each output, states a scale and an offset for each token, because one scale for a whole batch
costs too much (cosine 0.993). A few channels of the states are many times as large as the others; they stay in float32,
so that the others have all 256 steps (LLM.int8(), Dettmers et al. 2022). docs/decisions/0010-int8.md has the figures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.forward import Bert, Layer, compiled

_OUTLIERS = 8  # channels in float32: the cosine of MiniLM's vectors is 0.9990 without, 0.9995 with 4, 8 or 16
_TINY = 1e-12  # a row of weights may be zero


class Int8Linear(nn.Module):
    """`x @ weight.T + bias`, with x = scale * bytes + lowest in each token and weight = scale * int8 in each output."""

    def __init__(self, linear: Any, outliers: torch.Tensor) -> None:
        """`linear`: the weights [out, in] and bias [out] in float32. `outliers` [n] int64: inputs that stay in float32."""
        super().__init__()
        weight, bias = linear.weight.detach(), linear.bias.detach()
        kept = torch.ones(weight.shape[1])
        kept[outliers] = 0
        scales = (weight * kept).abs().amax(dim=1).clamp_min(_TINY) / 127
        quantized = (weight * kept / scales[:, None]).round().to(torch.int8)
        # What the lowest value of a token, the bias and the outliers add, as one product: [2 + n, out].
        added = [quantized.sum(dim=1) * scales, bias, *weight.T[outliers]]
        self.kept = nn.Buffer(kept)
        self.outliers = nn.Buffer(outliers)
        self.added = nn.Buffer(torch.stack(added))
        self.scales = nn.Buffer(scales)
        self.zeros = nn.Buffer(torch.zeros(len(scales), dtype=torch.int64))
        self.packed = nn.Buffer(torch.ops.onednn.qlinear_prepack(quantized, None))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, length, in] -> [rows, length, out]."""
        rows, length, width = states.shape
        tokens = states.reshape(rows * length, width)
        usual = tokens * self.kept if len(self.outliers) > 0 else tokens
        # Made for tables of embeddings: each row's bytes, then its scale and its lowest value as float32, in one pass
        # where torch's plain operations take five.
        both = torch.ops.quantized.embedding_bag_byte_prepack(usual)
        steps, lowest = torch.view_copy(both[:, width:].contiguous(), dtype=torch.float32).tensor_split(2, dim=1)
        result = torch.cat([lowest, torch.ones_like(lowest), tokens[:, self.outliers]], dim=1) @ self.added
        product = torch.ops.onednn.qlinear_pointwise(
            both[:, :width], 1.0, 0, self.packed, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return result.addcmul_(product, steps).view(rows, length, -1)


def int8_pass(network: Any, ids: torch.Tensor) -> nn.Module:
    """What `forward_pass` made, in float32 and on the processor, with its products over bytes; the rest is shared.

    `ids` [1, length] int64: a text, whose states say which channels are outliers. Raises ModelUnsupported for a model
    that transformers computes, and on a processor that has no product of bytes.
    """
    if not hasattr(network, "embed"):
        raise ModelUnsupported("int8 is for BERT, RoBERTa, XLM-R and CamemBERT; take float32 or bfloat16")
    if not _available():
        raise ModelUnsupported(
            "int8 needs a processor with AVX2 or AVX-512 and torch's operations for it; take float32"
        )
    none = torch.empty(0, dtype=torch.int64)
    layers = []
    with torch.inference_mode():
        states, mask = network.embed(ids, torch.ones_like(ids))
        for layer in network.layers:
            attended = layer.attend(states, mask)
            products = (
                Int8Linear(layer.mixed, _outliers(states)),
                Int8Linear(layer.attended, none),
                Int8Linear(layer.widened, _outliers(attended)),
                Int8Linear(layer.narrowed, none),
            )
            layers.append(Layer(layer.heads, products, (layer.first_norm, layer.second_norm)))
            states = layer.feed(attended)
    return compiled(Bert(network.words, network.positions, network.norm, layers, network.averaged))


def _available() -> bool:
    """Elsewhere the product of bytes may be a loop that takes seconds; torch means to end its quantised tensors."""
    x86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    ours = hasattr(torch.ops.quantized, "embedding_bag_byte_prepack") and hasattr(torch.ops.onednn, "qlinear_pointwise")
    return x86 and ours


def _outliers(states: torch.Tensor) -> torch.Tensor:
    """The channels with the largest values in [1, length, width]."""
    largest = states[0].abs().amax(dim=0)
    return largest.topk(min(_OUTLIERS, len(largest))).indices
