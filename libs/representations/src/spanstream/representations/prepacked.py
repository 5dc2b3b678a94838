"""The forward pass with its weights in the order in which oneDNN reads them, and with what follows a product done in it.

torch's own products hand float32 to another library, and in bfloat16 bring the weights into that order in each call, which
for a query is most of the work. docs/decisions/0036-prepacked-weights.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spanstream.representations.forward import Bert, attention, compiled
from spanstream.representations.model import Model

_ROWS = 512  # that the order is chosen for; it does for any number


class Product(nn.Module):
    """`x @ weight.T + bias`, and the exact GELU of it if asked."""

    def __init__(self, linear: Any, *, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = _parts(linear)
        self.after, self.how = ("gelu", "none") if gelu else ("none", "")

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, length, in] -> [rows, length, out]."""
        return torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, self.after, [], self.how)  # type: ignore[no-any-return]


class Sum(nn.Module):
    """`x @ weight.T + bias + y`."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.weight, self.bias = _parts(linear)

    def forward(self, states: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        """[rows, length, in] and [rows, length, out] -> [rows, length, out]."""
        return torch.ops.mkldnn._linear_pointwise(states, added, self.weight, self.bias, "add")  # type: ignore[no-any-return]


class Layer(nn.Module):
    """As `forward.Layer`."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.heads: int = layer.heads
        self.mixed, self.attended = Product(layer.mixed), Sum(layer.attended)
        self.widened, self.narrowed = Product(layer.widened, gelu=True), Sum(layer.narrowed)
        self.first_norm, self.second_norm = layer.first_norm, layer.second_norm

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[rows, length, width] -> the same; `mask` [rows, 1, length, length] is added to the attention's scores."""
        states = self.first_norm(self.attended(attention(self.mixed(states), self.heads, mask), states))
        result: torch.Tensor = self.second_norm(self.narrowed(self.widened(states), states))
        return result


def prepack(model: Model) -> Model:
    """The same model, ready to run; itself where the model, its dtype or its device has none of this."""
    network: Any = model.network
    if not hasattr(network, "embed") or not _available(network.positions):
        return model
    with torch.inference_mode():
        layers = [Layer(each) for each in network.layers.children()]
    own = Bert(network.words, network.positions, network.norm, layers, network.averaged)
    return replace(model, network=compiled(own))


def _parts(linear: Any) -> tuple[nn.Buffer, nn.Buffer]:
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
    return nn.Buffer(weight), nn.Buffer(linear.bias.detach())


def _available(weights: torch.Tensor) -> bool:
    """Whether torch has these operations, and oneDNN products of this type, where the weights are."""
    present = (
        weights.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
    small = weights.dtype == torch.bfloat16 and present and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return small or (present and weights.dtype == torch.float32)
