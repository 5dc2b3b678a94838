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
_SMOOTHED = 0.7  # of a channel's size goes to its weights: the cosine is 0.9993, with 0.5 or 0.85 it is 0.9992
_ROOM = 1.3  # times the range of a sample: less cuts off what other texts have, more has fewer steps


class _Packed(nn.Module):
    """What a product of bytes reads of its weights [out, in]: int8, laid out for it, with a scale for each output."""

    def __init__(self, quantized: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.bias = nn.Buffer(bias.detach())
        self.scales = nn.Buffer(scales)
        self.zeros = nn.Buffer(torch.zeros(len(scales), dtype=torch.int64))
        self.packed = nn.Buffer(torch.ops.onednn.qlinear_prepack(quantized, None))


class Int8Linear(_Packed):
    """`x @ weight.T + bias`, with x = scale * bytes + lowest in each token and weight = scale * int8 in each output."""

    def __init__(self, linear: Any, outliers: torch.Tensor) -> None:
        """`linear`: the weights [out, in] and bias [out] in float32. `outliers` [n] int64: inputs that stay in float32."""
        weight = linear.weight.detach()
        kept = torch.ones(weight.shape[1])
        kept[outliers] = 0
        quantized, scales = _quantized(weight * kept)
        super().__init__(quantized, scales, linear.bias)
        self.kept = nn.Buffer(kept)
        self.outliers = nn.Buffer(outliers)
        self.exact = nn.Buffer(weight.T[outliers].contiguous())
        self.sums = nn.Buffer(quantized.sum(dim=1) * scales)  # what a token's lowest value adds

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, length, in] -> [rows, length, out]."""
        rows, length, width = states.shape
        tokens = states.reshape(rows * length, width)
        usual = tokens * self.kept if len(self.outliers) > 0 else tokens
        # Made for tables of embeddings: each row's bytes, then its scale and its lowest value as float32, in one pass
        # where torch's plain operations take five.
        both = torch.ops.quantized.embedding_bag_byte_prepack(usual)
        steps, lowest = torch.view_copy(both[:, width:].contiguous(), dtype=torch.float32).tensor_split(2, dim=1)
        result = torch.addcmul(self.bias, lowest, self.sums)
        if len(self.outliers) > 0:
            result.addmm_(tokens.index_select(1, self.outliers), self.exact)
        product = torch.ops.onednn.qlinear_pointwise(
            both[:, :width], 1.0, 0, self.packed, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return result.addcmul_(product, steps).view(rows, length, -1)


class Int8Gelu(_Packed):
    """`GELU(x @ weight.T + bias)`, with one scale and offset for all tokens: then bias and GELU are done with the product.

    That is enough for states behind a norm once their channels are about as large as each other, for which the weights make up
    (SmoothQuant, Xiao et al. 2022).
    """

    def __init__(self, linear: Any, states: torch.Tensor) -> None:
        """`linear`: the weights [out, in] and bias [out] in float32. `states` [tokens, in]: such as are to come."""
        weight = linear.weight.detach()
        largest = states.abs().amax(dim=0).clamp_min(_TINY) ** _SMOOTHED
        smooth = largest / weight.abs().amax(dim=0).clamp_min(_TINY) ** (1 - _SMOOTHED)
        super().__init__(*_quantized(weight * smooth), linear.bias)
        lowest, highest = (states / smooth).aminmax()
        below, above = -float(lowest.clamp_max(0)) * _ROOM, float(highest.clamp_min(_TINY)) * _ROOM
        self.step = (below + above) / 255
        self.zero = round(below / self.step)
        self.factors = nn.Buffer(1 / (smooth * self.step))
        self.offsets = nn.Buffer(torch.full_like(smooth, self.zero + 0.5))  # the half rounds where bytes are cut off

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, length, in] -> [rows, length, out]."""
        steps = torch.addcmul(self.offsets, states, self.factors).clamp_(0, 255)
        small = steps.to(torch.int32).to(torch.uint8)  # at once it takes thrice as long
        return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
            small,
            self.step,
            self.zero,
            self.packed,
            self.scales,
            self.zeros,
            self.bias,
            1.0,
            0,
            torch.float32,
            "gelu",
            [],
            "none",
        )


class Int8Layer(Layer):
    """A block whose third product does GELU too."""

    def feed(self, states: torch.Tensor) -> torch.Tensor:
        """As `Layer.feed`."""
        result: torch.Tensor = self.second_norm(self.narrowed(self.widened(states)).add_(states))
        return result


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
                Int8Gelu(layer.widened, attended[0]),
                Int8Linear(layer.narrowed, none),
            )
            layers.append(Int8Layer(layer.heads, products, (layer.first_norm, layer.second_norm)))
            states = layer.feed(attended)
    return compiled(Bert(network.words, network.positions, network.norm, layers, network.averaged))


def _quantized(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[out, in] -> the same as int8, and the scale [out] of each output."""
    scales = weight.abs().amax(dim=1).clamp_min(_TINY) / 127
    return (weight / scales[:, None]).round().to(torch.int8), scales


def _available() -> bool:
    """Elsewhere the product of bytes may be a loop that takes seconds; torch means to end its quantised tensors."""
    x86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    ours = hasattr(torch.ops.quantized, "embedding_bag_byte_prepack") and hasattr(torch.ops.onednn, "qlinear_pointwise")
    return x86 and ours


def _outliers(states: torch.Tensor) -> torch.Tensor:
    """The channels with the largest values in [1, length, width]."""
    largest = states[0].abs().amax(dim=0)
    return largest.topk(min(_OUTLIERS, len(largest))).indices
