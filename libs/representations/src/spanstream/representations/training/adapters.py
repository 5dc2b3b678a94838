"""Low-rank adapters: what is learnt of a product is a product of two thin matrices; all else stays as it was.

LoRA: Hu et al., Low-Rank Adaptation of Large Language Models, 2022. Fewer numbers learn, so fewer documents do, and the
optimizer's memory is small. At the end they are added to the weights: a model that was adapted reads as fast as any.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from spanstream.representations.training.errors import RecipeInvalid

T = TypeVar("T", bound=nn.Module)
SCALE = 2.0  # of what is learnt: alpha / rank in the paper


class Adapted(nn.Module):
    """`base`, and beside it `up` [out, rank] times `down` [rank, in], which is nothing at the start."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        learnt = functional.linear(functional.linear(states, self.down), self.up)
        result: torch.Tensor = self.base(states) + SCALE * learnt
        return result

    def merged(self) -> nn.Linear:
        """One product that gives the same."""
        with torch.no_grad():
            self.base.weight += SCALE * self.up @ self.down
        return self.base


def adapt(network: nn.Module, rank: int) -> None:
    """Put an adapter beside each product of the network; only these learn from now on. Draws from torch's generator.

    Raises RecipeInvalid where an adapter would be no smaller than a product.
    """
    products = _found(network, nn.Linear)
    width = min(min(product.in_features, product.out_features) for _, _, product in products)
    if rank >= width:
        raise RecipeInvalid(f"rank must be below {width}, the width of this model's smallest product, not {rank}")
    network.requires_grad_(False)
    for parent, name, product in products:
        setattr(parent, name, Adapted(product, rank))


def merge(network: nn.Module) -> None:
    """Add what the adapters learnt to the weights, and take them away; nothing happens where there are none."""
    for parent, name, adapted in _found(network, Adapted):
        setattr(parent, name, adapted.merged())


def _found(network: nn.Module, kind: type[T]) -> list[tuple[nn.Module, str, T]]:
    return [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]
