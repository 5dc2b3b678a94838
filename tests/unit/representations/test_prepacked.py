from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from spanstream.representations.forward import forward_pass
from spanstream.representations.model import Model
from spanstream.representations.prepacked import Product, Sum, prepack
from tests.unit.representations.test_forward import network, rows, states_of

pytestmark = pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="oneDNN is for processors of this kind"
)


def linear() -> nn.Linear:
    torch.manual_seed(5)
    return nn.Linear(40, 24).requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 22), (3, 200)])  # a query, and more rows than the order is chosen for
def test_a_product_does_what_follows_it(shape: tuple[int, int]) -> None:
    exact = linear()
    states, added = torch.randn(*shape, 40), torch.randn(*shape, 24)
    with torch.inference_mode():
        expected = exact(states)
        torch.testing.assert_close(Product(exact)(states), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(Product(exact, gelu=True)(states), functional.gelu(expected), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(Sum(exact)(states, added), expected + added, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_the_states_are_those_of_the_plain_pass(
    model_type: str, dtype: torch.dtype, apart: float, minilm: Model
) -> None:
    plain = forward_pass(network(model_type))
    made = prepack(replace(minilm, network=copy.deepcopy(plain).to(dtype)))
    if made.network is plain:
        pytest.skip("the processor has no products of this type")
    ids, texts = rows()
    expected = states_of(plain, ids, texts)
    for _ in range(3):  # a compiled module settles after its first calls
        found = states_of(made.network, ids, texts)
        assert found.dtype == dtype
        assert functional.cosine_similarity(found.float(), expected).min() > 1 - apart / 10
        torch.testing.assert_close(found.float(), expected, atol=apart, rtol=apart)
    assert made.packs


def test_a_model_that_transformers_computes_and_other_types_stay_as_they_are(minilm: Model) -> None:
    other = replace(minilm, network=forward_pass(network("mpnet")))
    assert prepack(other) is other
    double = replace(minilm, network=copy.deepcopy(minilm.network).to(torch.float64))
    assert prepack(double) is double


def test_other_processors_keep_torchs_own_products(minilm: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "SVE256")
    assert prepack(minilm) is minilm
